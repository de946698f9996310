"""The backend `numpy`: reads an ONNX file and computes its graph where onnxruntime is not installed.

`protobuf` reads the file, `operators` are ONNX's on arrays, and `session` runs a graph of them.
"""

"""C99 of a model in 8 bits: its source, made of templates and the numbers of onnx-int8.

Imported by `formats`. Imports `arithmetic`.
"""

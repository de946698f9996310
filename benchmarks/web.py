"""`python -m benchmarks.web`: a model for browsers in Chromium and Node, against onnxruntime-web and onnxruntime-node."""

from .studies.web import main

if __name__ == "__main__":
    main()

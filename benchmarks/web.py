"""`python -m benchmarks.web`: a model for browsers, against onnxruntime-web and onnxruntime-node."""

from .studies.web import main

if __name__ == "__main__":
    main()

"""`python -m benchmarks.backends`: numpy next to onnxruntime as what runs an artefact."""

from .studies.backends import main

if __name__ == "__main__":
    main()

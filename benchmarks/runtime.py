"""`python -m benchmarks.runtime`: the runtime next to a bare onnxruntime session on the same file."""

from .studies.runtime import main

if __name__ == "__main__":
    main()

"""`python -m benchmarks.c`: a model in C, ours and those of m2cgen, emlearn and micromlgen, on emulated Cortex-M."""

from .studies.c import main

if __name__ == "__main__":
    main()

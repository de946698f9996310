"""`python -m benchmarks.skew`: what the detection of input skew finds, its false alarms, and its cost."""

from .studies.skew import main

if __name__ == "__main__":
    main()

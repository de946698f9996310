"""`python -m benchmarks.decisions`: whether probabilities, thresholds, prediction sets and familiarity hold."""

from .studies.decisions import main

if __name__ == "__main__":
    main()

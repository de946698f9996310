"""`python -m benchmarks.audit`: how many planted wrong labels and copies an audit finds."""

from .studies.audit import main

if __name__ == "__main__":
    main()

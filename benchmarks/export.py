"""`python -m benchmarks.export`: what exporting costs, what the files weigh, and how they answer."""

from .studies.export import main

if __name__ == "__main__":
    main()

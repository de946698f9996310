"""`python -m benchmarks.export`: what exporting costs, the files' sizes, and their accuracy."""

from .studies.export import main

if __name__ == "__main__":
    main()

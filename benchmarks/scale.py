"""`python -m benchmarks.scale`: training and scoring from 10⁴ images to 10⁷."""

from .studies.scale import main

if __name__ == "__main__":
    main()

"""Save one test image of a data set, as an image file and as raw pixels.

Usage: python sample_image.py DATA INDEX STEM    (writes STEM.png and STEM.npy, and prints the true label)
"""

import sys

import numpy as np
from PIL import Image

from trainer import load_data


def main(data: str, index: str, stem: str) -> None:
    """Write the test image at `index` and say what it shows."""
    dataset = load_data(data)
    pixels = dataset.test.images[int(index)].numpy()
    Image.fromarray(pixels.squeeze()).save(f"{stem}.png")
    np.save(f"{stem}.npy", pixels)
    print(f"{stem}.png, {stem}.npy: a test image that shows {dataset.labels[int(dataset.test.targets[int(index)])]!r}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])

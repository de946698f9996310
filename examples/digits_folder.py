"""Write scikit-learn's handwritten digits as a folder of images, one sub-folder a class, as `kit train` takes them.

Usage: python digits_folder.py FOLDER    (writes FOLDER/0/0000.png and so on, 1,797 files of 8 × 8 pixels)
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits


def main(folder: Path) -> None:
    """Write the images, and say how many there are."""
    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    for number, (image, target) in enumerate(zip(pixels, digits.target, strict=True)):
        path = folder / str(target) / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    print(f"{folder}: {len(pixels):,} images of {len(digits.target_names)} classes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))

"""Folders of images, written from a data set."""

from pathlib import Path

from PIL import Image

from trainer import Dataset


def lay_out(folder: Path, data: Dataset, labels: tuple[str, ...], each: int) -> Path:
    """Write so many of each class's training images as a folder of images."""
    for index, label in enumerate(labels):
        (folder / label).mkdir(parents=True)
        for number, image in enumerate(data.train.images[data.train.targets == index][:each].numpy()):
            Image.fromarray(image.squeeze()).save(folder / label / f"{number}.png")
    return folder

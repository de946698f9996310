"""What the cases of bad input have to work with, and what a case is."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from runtime import Classifier


class Given(NamedTuple):
    """What a case has to work with."""

    classifier: Classifier
    model: Path
    folder: Path
    torchscript: Path


Case = tuple[Callable[[Given], Any], str]
GREY = np.zeros((8, 8), np.uint8)
LONG = "x" * 300


def encoded(image: Image.Image, format: str = "PNG") -> bytes:  # noqa: A002
    file = io.BytesIO()
    image.save(file, format)
    return file.getvalue()


def noise(format: str) -> bytes:  # noqa: A002
    return encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)), format)


def spooled(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


class Nowhere(os.PathLike):  # type: ignore[type-arg]
    def __fspath__(self) -> Any:
        return 3

"""What tests and cases of bad input work with: images, changed artefacts, a classifier past its first images."""

import io
import os
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper
from PIL import Image

from export.appearance import pixel_statistics
from runtime import Classifier, KitError, SkewWarning
from runtime.image import Pixels
from runtime.pixel_statistics import PixelStatistics
from runtime.seal import EMPTY_SEAL, seal
from runtime.skew.first_images import LOOK_AT


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


def change(source: Path, target: Path, edit: Any) -> Path:
    """Write an artefact again with its protobuf changed by `edit`, and sealed as if it were right."""
    proto = onnx.load(source)
    edit(proto)
    props = {prop.key: prop.value for prop in proto.metadata_props}
    helper.set_model_props(proto, props | {"kit.seal": EMPTY_SEAL.decode()})
    target.write_bytes(seal(proto.SerializeToString()))
    return target


def past_first_images(classifier: Classifier) -> Classifier:
    """Have a classifier take as many images as it examines for input skew."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkewWarning)
        for _ in range(LOOK_AT[-1]):
            with suppress(KitError):  # as of a graph that fails
                classifier.classify(GREY)
    return classifier


def write_zip(path: Path, entries: dict[str, bytes], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


def described(images: Pixels) -> PixelStatistics:
    return pixel_statistics(images.mean(axis=(0, 1, 2)), images.std(axis=(0, 1, 2)), images)


def tinted(count: int, tint: tuple[int, int, int], seed: int = 0) -> Pixels:
    """Noise in one colour, a lightness for each image."""
    rng = np.random.default_rng(seed)
    lightness = rng.integers(40, 160, (count, 1, 1, 1)) + rng.integers(-30, 30, (count, 12, 10, 1))
    noise = rng.integers(-25, 25, (count, 12, 10, 3))
    images: Pixels = np.clip(lightness + np.array(tint) + noise, 0, 255).astype(np.uint8)
    return images

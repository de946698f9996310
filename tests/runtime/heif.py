"""HEIC files, made with pillow-heif, without which what asks for them is skipped."""

import io
from typing import Any

import pytest
from PIL import Image


def heic(*images: Image.Image, orientation: int = 1, **settings: Any) -> bytes:
    """Encode images in a HEIC file, the first of which is its primary one, turned by its own transformations."""
    file, pillow_heif = io.BytesIO(), pytest.importorskip("pillow_heif")
    container = pillow_heif.HeifFile()
    for image in images:
        exif = Image.Exif()
        exif[274] = orientation
        container.add_from_pillow(image).info["exif"] = exif.tobytes()
    container.save(file, **settings)
    return file.getvalue()

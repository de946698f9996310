"""What an image or an artefact may be given as, told apart without importing what reads it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from typing import TypeGuard

    from PIL import Image

Source: TypeAlias = "str | os.PathLike[str] | Traversable | bytes | bytearray"

BYTES = "these bytes"  # in place of a file's name


def is_resource(value: object) -> TypeGuard[Traversable]:
    """Whether a value is read as importlib.resources' Traversable is, and has no path."""
    return hasattr(value, "read_bytes") and not isinstance(value, os.PathLike)


def is_encoded(value: object) -> TypeGuard[Source]:
    """Whether `decode` takes a value."""
    return isinstance(value, (str, os.PathLike, bytes, bytearray)) or is_resource(value)


def is_pillow(value: object) -> TypeGuard[Image.Image]:
    """Whether a value is a Pillow image, found without importing Pillow."""
    return any((kind.__module__, kind.__name__) == ("PIL.Image", "Image") for kind in type(value).__mro__)

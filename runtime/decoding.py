"""Decodes image files with Pillow, which is imported only by the functions that need it."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, TypeAlias

from .errors import InputError, needs_extra
from .files import check_regular, read_at_most, reason
from .origin import raised_by

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from typing import TypeGuard

    from PIL import Image

Source: TypeAlias = "str | os.PathLike[str] | Traversable | bytes | bytearray"

PILLOW = "PIL"
BYTES = "these bytes"  # in place of a file's name
MAX_FILE_BYTES = 64 * 2**20
MAX_PIXELS = 64 * 10**6
# Pillow reads more formats; some of them start programs (EPS) or unpack without a limit.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


def is_resource(value: object) -> TypeGuard[Traversable]:
    """Whether a value is read as importlib.resources' Traversable is, and has no path."""
    return hasattr(value, "read_bytes") and not isinstance(value, os.PathLike)


def is_encoded(value: object) -> TypeGuard[Source]:
    """Whether `decode` takes a value."""
    return isinstance(value, (str, os.PathLike, bytes, bytearray)) or is_resource(value)


def is_pillow(value: object) -> TypeGuard[Image.Image]:
    """Whether a value is a Pillow image, found without importing Pillow."""
    return any((kind.__module__, kind.__name__) == ("PIL.Image", "Image") for kind in type(value).__mro__)


def from_array(array: Any) -> Image.Image:
    """uint8 [H, W, C] → Pillow's image."""
    with needs_extra("image", "bringing an image to the model's size or colour"):
        from PIL import Image as pillow
    return pillow.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def decode(source: Source) -> Image.Image:
    """Decode a file or its bytes, and apply the EXIF orientation. Raises InputError."""
    with needs_extra("image", "decoding an image file"):
        from PIL import Image as pillow
        from PIL import ImageOps, UnidentifiedImageError
    data, name = (bytes(source), BYTES) if isinstance(source, (bytes, bytearray)) else _read(source)
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"{name}: expected at most {MAX_FILE_BYTES >> 20} MB, found a larger file: shrink it first")
    try:
        with pillow.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(
                    f"{name}: expected at most {MAX_PIXELS:,} pixels, found {image.width} × {image.height}: "
                    "shrink it first"
                )
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return image
    except pillow.DecompressionBombError as error:
        raise InputError(f"{name}: expected at most {MAX_PIXELS:,} pixels, found more: shrink it first") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{name}: expected an image file (PNG, JPEG, …), found {_glimpse(data)}") from error
    except Exception as error:  # Pillow's decoders raise many types on damaged data
        if not raised_by(error, PILLOW):
            raise
        raise InputError(f"{name}: expected a whole image, found one that cannot be decoded ({error})") from error


def _read(source: str | os.PathLike[str] | Traversable) -> tuple[bytes, str]:
    path: Any = source
    try:
        if not isinstance(source, (str, os.PathLike)):
            return source.read_bytes(), str(source)
        path = os.fspath(source)
        size = check_regular(path, "an image file", InputError, remedy="pass the bytes, or name a file")
        return read_at_most(path, size, MAX_FILE_BYTES), str(path)
    except Exception as error:  # zip files raise many types
        if not raised_by(error):
            raise
        raise InputError(f"{path}: expected an image file that can be read, found: {reason(error)}") from error


def _glimpse(data: bytes) -> str:
    return f"{len(data)} bytes that begin {data[:8]!r}" if data else "nothing (0 bytes)"

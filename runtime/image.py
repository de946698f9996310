"""The image contract: how any image becomes the model's input.

Only this module decodes, converts and resizes images, for the trainer and the runtime alike, so that both get the same
pixels. Pillow is imported only by the functions that decode or convert.
"""

from __future__ import annotations

import io
import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .errors import InputError, needs_extra
from .files import check_regular, read_at_most, reason
from .text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from PIL import Image

Pixels: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
ImageLike: TypeAlias = "Pixels | Image.Image | str | os.PathLike[str] | bytes"
Encoded: TypeAlias = "os.PathLike[str] | bytes | None"

BYTES = "these bytes"  # in place of a file's name
CHANNELS = {"L": 1, "RGB": 3}
FITS = ("stretch",)
FILTERS = ("bilinear",)
MAX_SIDE = 16384
MAX_FILE_BYTES = 64 * 2**20
MAX_PIXELS = 64 * 10**6
# Pillow reads more formats; some of them start programs (EPS) or unpack without a limit.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, kw_only=True)
class ImageContract:
    """How any image becomes the model's input.

    height, width: pixels, 1 to 16,384.
    color: "L" (greyscale, one channel) or "RGB".
    fit: "stretch" resizes to height × width without keeping the aspect ratio.
    filter: "bilinear", Pillow's, which averages over the area when it shrinks.
    Transparent pixels become white; 16-bit images keep their upper 8 bits. Raises InputError.
    """

    height: int
    width: int
    color: str = "L"
    fit: str = "stretch"
    filter: str = "bilinear"

    def __post_init__(self) -> None:
        for side in (self.height, self.width):
            if type(side) is not int or not 1 <= side <= MAX_SIDE:
                raise InputError(f"expected an image side of 1 to {MAX_SIDE:,} pixels, found {side!r}")
        for value, known in ((self.color, CHANNELS), (self.fit, FITS), (self.filter, FILTERS)):
            if value not in known:
                raise InputError(f"expected one of {', '.join(known)} in the image contract, found {value!r}")

    @property
    def channels(self) -> int:
        """1 or 3."""
        return CHANNELS[self.color]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.height, self.width, self.channels

    def pixels(self, image: ImageLike) -> Pixels:
        """Convert an image to the model's size and colour.

        image: a uint8 array, a Pillow image, a path, or the bytes of an encoded image. An array of the model's size and
            colour is returned without a copy.
        Returns uint8 [height, width, channels]. Raises InputError.
        """
        if isinstance(image, np.ndarray):
            array = _checked(image)
            if array.shape == self.shape:
                return array
            image = _from_array(array)
        elif isinstance(image, (str, os.PathLike, bytes, bytearray)):
            image = _decode(image)
        elif not _is_pillow(image):
            raise InputError(
                "expected a uint8 array, a Pillow image, a path or the bytes of an encoded image, "
                f"found {type(image).__name__}"
            )
        return self._conform(image)

    def _conform(self, image: Image.Image) -> Pixels:
        from PIL import Image as pillow

        if 0 in image.size:
            raise InputError(f"expected an image of at least 1 × 1 pixels, got {image.width} × {image.height}")
        try:
            converted = _flatten(image)
            converted.load()
            if converted.mode != self.color:
                converted = converted.convert(self.color)
        except InputError:
            raise
        except Exception as error:  # an image that Pillow has opened but not loaded may be damaged
            message = f"expected an image that converts to {self.color}, got mode {image.mode} ({error})"
            raise InputError(message) from None
        if converted.size != (self.width, self.height):
            resampling = pillow.Resampling[self.filter.upper()]
            # One side at a time: Pillow 13 resizes the sides in another order than before, which rounds differently.
            converted = converted.resize((self.width, converted.height), resampling)
            converted = converted.resize((self.width, self.height), resampling)
        return np.asarray(converted, dtype=np.uint8).reshape(self.shape)


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image; hidden files are left out."""
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def read_images(images: Iterable[Encoded], contract: ImageContract) -> list[Pixels | str]:
    """Convert images to the model's size and colour; for one that cannot be read, return the reason instead."""
    found: list[Pixels | str] = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # damage that matters raises an error too
        for image in images:
            try:
                if image is None:
                    raise InputError("expected the bytes of an encoded image, found null")
                found.append(contract.pixels(image))
            except InputError as error:
                name = BYTES if isinstance(image, bytes) else image
                found.append(one_line(str(error).removeprefix(f"{name}: ")))
    return found


def _checked(array: NDArray[np.generic]) -> Pixels:
    """uint8 [H, W] or [H, W, 1 or 3] → uint8 [H, W, C]."""
    array = np.asarray(array)  # a np.matrix always has two axes
    if array.dtype != np.uint8:
        raise InputError(
            f"expected uint8 pixels 0-255, got {array.dtype}: pass raw pixels, the model scales them itself"
        )
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in CHANNELS.values() or 0 in array.shape:
        raise InputError(f"expected [H, W], [H, W, 1] or [H, W, 3], got {list(array.shape)}")
    return array  # type: ignore[return-value]


def _is_pillow(image: object) -> bool:
    return any((kind.__module__, kind.__name__) == ("PIL.Image", "Image") for kind in type(image).__mro__)


def _from_array(array: Pixels) -> Image.Image:
    with needs_extra("image", "bringing an image to the model's size or colour"):
        from PIL import Image as pillow
    return pillow.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def _decode(source: str | os.PathLike[str] | bytes | bytearray) -> Image.Image:
    """Decode a file or its bytes, and apply the EXIF orientation."""
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
    except pillow.DecompressionBombError:
        raise InputError(f"{name}: expected at most {MAX_PIXELS:,} pixels, found more: shrink it first") from None
    except UnidentifiedImageError:
        raise InputError(f"{name}: expected an image file (PNG, JPEG, …), found {_glimpse(data)}") from None
    except InputError:
        raise
    except Exception as error:  # Pillow's decoders raise many types on damaged data
        raise InputError(f"{name}: expected a whole image, found one that cannot be decoded ({error})") from None


def _read(source: str | os.PathLike[str]) -> tuple[bytes, str]:
    path = source
    try:
        path = os.fspath(source)
        size = check_regular(path, "an image file", InputError, remedy="pass the bytes, or name a file")
        return read_at_most(path, size, MAX_FILE_BYTES), str(path)
    except (OSError, TypeError, ValueError) as error:
        raise InputError(f"{path}: expected an image file that can be read, found: {reason(error)}") from None


def _glimpse(data: bytes) -> str:
    return f"{len(data)} bytes that begin {data[:8]!r}" if data else "nothing (0 bytes)"


def _flatten(image: Image.Image) -> Image.Image:
    """Convert Pillow's other modes to 8 bits without alpha."""
    from PIL import Image as pillow

    if image.mode.startswith("I"):
        return pillow.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode == "F":
        raise InputError("expected 8-bit or 16-bit pixels, got a floating-point image: save it as 8-bit first")
    if not image.has_transparency_data:
        return image
    white = pillow.new("RGBA", image.size, (255, 255, 255, 255))
    return pillow.alpha_composite(white, image.convert("RGBA"))

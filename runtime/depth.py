"""Pixels of more than 8 bits, which a shift brings to 8: greyscale, and colours that Pillow itself would cut down.

Pillow has no colour images of 16 bits: it reads the upper byte of each channel. What it takes for the lower byte in
files of the other byte order is read as well here, so that a shift can be smaller than 8.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError
from .remarks import most

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from PIL import Image

SIXTEEN_BITS = 2**16 - 1
BLOCK = 2**20  # channels that are shifted at a time
DEEP = re.compile(r";16[BLN]$")  # Pillow's raw modes; others have 16 bits a pixel
BOTH = re.compile(r"(?:RGB|RGBA|RGBX|CMYK|[RGBACMYK])(?:;16(?P<order>[BLN]))?")
PLANAR_CONFIGURATION, BITS_PER_SAMPLE = 284, 258  # in TIFF
SIZE_MARKERS = b"\xff\x4f\xff\x51"  # in JPEG 2000: 42 bytes before the bits of the first channel
SWAPPED = {"B": "L", "L": "B"}
NATIVE = "L" if sys.byteorder == "little" else "B"


def shifted(image: Image.Image, shift: int) -> tuple[Image.Image, int]:
    """Bring a greyscale image of Pillow's modes I to 8 bits; return it and its largest value. Raises InputError."""
    from PIL import Image as pillow

    values = np.asarray(image)
    least, largest = int(values.min()), int(values.max())
    if least < 0 or largest > SIXTEEN_BITS:
        raise InputError(
            f"expected pixels of 0-{SIXTEEN_BITS:,}, found {least:,} to {largest:,}: scale them, and save the "
            "image with 8 or 16 bits"
        )
    small = values >> shift
    return pillow.fromarray(np.minimum(small, 255, out=small).astype(np.uint8)), largest


def colours(image: Image.Image, reopened: Callable[[], Image.Image], shift: int) -> tuple[Image.Image, int | None]:
    """Bring an image file of 16-bit colours to 8 bits; return it and its largest value, or None for other files.

    image: opened, not loaded.
    reopened: opens it again.
    Raises InputError where the lower bytes cannot be read and the shift asks for them.
    """
    if not is_deep(image):
        return image, None
    both = _both(image, reopened)
    if both is None:
        return _upper_alone(image, shift)
    count = 3 if image.mode == "RGBA" else both[0].shape[2]
    narrowed, largest = _narrowed(*both, image.mode, shift, count)
    image.paste(narrowed)  # which keeps what else the file says, as its orientation
    return image, largest


def is_deep(image: Any) -> bool:
    """Whether a file has colours of 16 bits, of which Pillow would keep the upper 8; it scales other depths."""
    if image.mode.startswith("I") or not getattr(image, "tile", ()):
        return False
    codec, _, _, arguments = image.tile[0]
    if codec.startswith("ppm"):
        return image.mode == "RGB" and int(arguments[-1]) > 255
    return bool(DEEP.search(_raw_mode(image.tile[0]))) or _in_planes(image) or _bits_of_jpeg_2000(image) == 16


def _both(image: Any, reopened: Callable[[], Image.Image]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """Load the upper and the lower bytes of colours: uint8 [H, W, C]; None where Pillow reads the upper ones alone."""
    codec, raw = image.tile[0][0], _raw_mode(image.tile[0])
    if codec.startswith("ppm"):
        return _of_ppm(image)
    if raw == "LA;16B":
        return _both_of_two(image)
    found = BOTH.fullmatch(raw)
    if not found or codec == "jpeg2k" or (codec == "libtiff" and _in_planes(image)):
        return None
    order = found["order"] or ("L" if image.tag_v2.prefix == b"II" else "B")
    order = NATIVE if order == "N" else order
    upper = _plane(image, lambda name: f"{name};16{order}")
    return upper, _plane(reopened(), lambda name: f"{name};16{SWAPPED[order]}")


def _upper_alone(image: Image.Image, shift: int) -> tuple[Image.Image, int]:
    """Load a file whose lower bytes cannot be read; return it and what its largest value may be. Raises InputError."""
    if shift != 8:
        raise InputError(
            f"expected 16-bit pixels that can be shifted by {shift}, found {image.format} whose lower 8 bits cannot be "
            "read here: save the image as PNG first"
        )
    image.load()
    return image, int(np.asarray(image)[:, :, :3].max()) << 8 | 255


def _in_planes(image: Any) -> bool:
    """Whether a TIFF file has 16-bit channels one after another, not pixel by pixel."""
    tags = getattr(image, "tag_v2", {})
    return tags.get(PLANAR_CONFIGURATION) == 2 and tags.get(BITS_PER_SAMPLE, ())[:1] == (16,)


def _bits_of_jpeg_2000(image: Any) -> int:
    """Bits of each channel of a JPEG 2000 file; 0 for other files."""
    if image.format != "JPEG2000" or not hasattr(image.fp, "getvalue"):
        return 0
    data: bytes = image.fp.getvalue()
    at = data.find(SIZE_MARKERS) + 42
    return max((1 + (bits & 127) for bits in data[at : at + 3 * len(image.getbands()) : 3]), default=0)


def _raw_mode(tile: Any) -> str:
    """How Pillow unpacks a part of an image file."""
    arguments = tile[3]
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _plane(image: Any, raw_mode: Callable[[str], str]) -> NDArray[np.uint8]:
    """Load an image file, unpacked in another way: uint8 [H, W, C]."""

    def changed(tile: Any) -> Any:
        raw, arguments = raw_mode(_raw_mode(tile).split(";")[0]), tile[3]
        made = getattr(tile, "_make", tuple)  # of a named tuple, since Pillow 11
        return made((*tile[:3], (raw, *arguments[1:]) if isinstance(arguments, tuple) else raw))

    image.tile = [changed(tile) for tile in image.tile]
    image.load()
    return np.array(image)


def _both_of_two(image: Any) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Load grey and alpha as four bytes: the upper and the lower ones of grey, grey, grey and alpha."""
    planes = _plane(image, lambda _: "RGBA")
    return planes[:, :, [0, 0, 0, 2]], planes[:, :, [1, 1, 1, 3]]


def _of_ppm(image: Any) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read a PPM file's colours, scaled to 16 bits as Pillow scales greyscale: their upper and lower bytes."""
    codec, _, at, arguments = image.tile[0]
    data, largest, count = image.fp.getbuffer()[at:], int(arguments[-1]), 3 * image.width * image.height
    values = _in_digits(bytes(data)) if codec == "ppm_plain" else np.frombuffer(data[: len(data) // 2 * 2], ">u2")
    if len(values) < count:
        raise InputError(f"expected a whole image, found {len(values):,} of {count:,} values")
    scaled = values[:count].astype(np.uint32).clip(max=largest)
    scaled = ((scaled * SIXTEEN_BITS + largest // 2) // largest).reshape(image.height, image.width, 3)
    return (scaled >> 8).astype(np.uint8), (scaled & 255).astype(np.uint8)


def _in_digits(text: bytes) -> NDArray[np.uint32]:
    text = re.sub(rb"#[^\r\n]*", b"", text)
    if re.search(rb"[^\d\s]", text):
        raise InputError("expected numbers in a plain PPM file, found others: save the image as PNG first")
    return np.fromstring(text.decode(), np.uint32, sep=" ")


def _narrowed(
    upper: NDArray[np.uint8], lower: NDArray[np.uint8], mode: str, shift: int, colours: int
) -> tuple[Image.Image, int]:
    """Shift and clip in place, some rows at a time; of alpha, which comes after the colours, keep the upper byte."""
    from PIL import Image as pillow

    rows, largest = max(1, BLOCK // max(1, upper[0].size)), 0
    for at in range(0, len(upper), rows):
        values = upper[at : at + rows, :, :colours].astype(np.uint16) << 8 | lower[at : at + rows, :, :colours]
        largest = max(largest, int(values.max()))
        upper[at : at + rows, :, :colours] = values.clip(max=most(shift)) >> shift
    size = upper.shape[1], upper.shape[0]
    return pillow.frombytes(mode, size, upper.tobytes()), largest

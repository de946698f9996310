"""Pixels of more than 8 bits, which a shift brings to 8: greyscale, and colours that Pillow itself would cut down.

Pillow has no colour images of 16 bits: it reads the upper byte of each channel. What it takes for the lower byte in
files of the other byte order is read as well here, so that a shift can be smaller than 8.
"""

from __future__ import annotations

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
    Raises InputError where the lower bytes cannot be read.
    """
    tiles = getattr(image, "tile", [])
    modes = {_raw_mode(tile) for tile in tiles}
    if tiles and tiles[0][0].startswith("ppm") and image.mode == "RGB" and tiles[0][3][-1] > 255:
        return _narrowed(*_of_ppm(image), image.mode, shift, 3)
    if image.mode.startswith("I") or len(modes) != 1 or ";16" not in (raw := modes.pop()):
        return image, None
    name, order = raw.split(";16")
    if name == "LA" and image.mode == "RGBA":
        upper, lower = _both_of_two(image)
    elif name in ("RGB", "RGBA", "RGBX", "CMYK") and order in ("B", "L", "N"):
        order = NATIVE if order == "N" else order
        upper = _plane(image, f"{name};16{order}")
        lower = _plane(reopened(), f"{name};16{SWAPPED[order]}")
    elif shift == 8:
        return image, None
    else:
        raise InputError(f"expected 8-bit or 16-bit pixels, found {raw}: save the image as PNG first")
    count = 3 if image.mode == "RGBA" else upper.shape[2]
    narrowed, largest = _narrowed(upper, lower, image.mode, shift, count)
    image.paste(narrowed)  # which keeps what else the file says, as its orientation
    return image, largest


def _raw_mode(tile: Any) -> str:
    """How Pillow unpacks a part of an image file."""
    arguments = tile[3]
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _plane(image: Any, raw: str) -> NDArray[np.uint8]:
    """Load an image file, unpacked in another way: uint8 [H, W, C]."""
    image.tile = [
        (codec, box, at, (raw, *arguments[1:]) if isinstance(arguments, tuple) else raw)
        for codec, box, at, arguments in image.tile
    ]
    return np.array(image)


def _both_of_two(image: Any) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Load grey and alpha as four bytes: the upper and the lower ones of grey, grey, grey and alpha."""
    planes = _plane(image, "RGBA")
    return planes[:, :, [0, 0, 0, 2]], planes[:, :, [1, 1, 1, 3]]


def _of_ppm(image: Any) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read a PPM file's colours, scaled to 16 bits as Pillow scales greyscale: their upper and lower bytes."""
    codec, _, at, (_, largest) = image.tile[0]
    if codec != "ppm":
        raise InputError("expected pixels of 8 bits in a plain PPM file, found more: save it as PNG first")
    count = 3 * image.width * image.height
    pairs = np.frombuffer(image.fp.getbuffer()[at:], ">u2")[:count].astype(np.uint32)
    if len(pairs) < count:
        raise InputError(f"expected a whole image, found {len(pairs):,} of {count:,} values")
    values = ((pairs * SIXTEEN_BITS + largest // 2) // largest).clip(max=SIXTEEN_BITS)
    values = values.reshape(image.height, image.width, 3)
    return (values >> 8).astype(np.uint8), (values & 255).astype(np.uint8)


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

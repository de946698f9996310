"""The entry `golden` of an artefact: images with the trained model's probabilities, and how they are encoded."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .entries import base64, check, data, items, number, rate
from .image import ImageContract, Pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

RAW, PNG_ROWS = ENCODINGS = ("raw", "png-rows")
NONE, SUB, UP = range(3)  # PNG's filter types
MAX_BYTES = 64 * 2**20  # of PNG rows, decompressed


class Golden(NamedTuple):
    """Held-out images with the trained model's probabilities.

    images: uint8 [G, H, W, C].
    probabilities: float32 [G, K].
    tolerance: the largest difference in probability that the artefact may show.
    encoding: of the images in the file: "raw" or "png-rows".
    """

    images: Pixels
    probabilities: NDArray[np.float32]
    tolerance: float
    encoding: str = RAW

    def to_json(self) -> dict[str, Any]:
        """Return the entry as JSON values."""
        rows = self.encoding == PNG_ROWS
        return {
            "images": base64(to_png_rows(self.images) if rows else self.images.tobytes()),
            "probabilities": [[float(f"{p:.9g}") for p in row] for row in self.probabilities],
            "tolerance": self.tolerance,
            **({"encoding": self.encoding} if rows else {}),
        }


def read_golden(value: Any, image: ImageContract, classes: int, *, encoded: bool) -> Golden:
    """Read the entry. Raises as the functions of `entries` do.

    image: the contract that the images are of.
    classes: K.
    encoded: whether the format knows other encodings than "raw".
    """
    rows = [list(map(number, items(row))) for row in items(value["probabilities"])]
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused below
        probabilities = np.array(rows, np.float32)
    encoding = value.get("encoding", RAW) if encoded else RAW
    check(isinstance(encoding, str) and encoding in ENCODINGS)
    if encoding == PNG_ROWS:
        images = from_png_rows(data(value["images"]), (len(rows), *image.shape))
    else:
        images = np.frombuffer(data(value["images"]), np.uint8).reshape(-1, *image.shape)
    check(probabilities.shape == (len(images), classes) and len(images) >= 1 and np.isfinite(probabilities).all())
    return Golden(images=images, probabilities=probabilities, tolerance=rate(value["tolerance"]), encoding=encoding)


def to_png_rows(images: Pixels) -> bytes:
    """Compress images, one below the other, as PNG compresses its rows: filtered, then deflated by zlib.

    Each row is filtered with the type that leaves the smallest absolute differences, of None, Sub and Up; the others
    need a loop over the pixels. W3C, "Portable Network Graphics", sections 9 and 12.7.

    images: uint8 [G, H, W, C].
    """
    rows = images.reshape(-1, *images.shape[2:])  # [G·H, W, C]
    left, above = np.zeros_like(rows), np.zeros_like(rows)
    left[:, 1:], above[1:] = rows[:, :-1], rows[:-1]
    filtered = np.stack([rows, rows - left, rows - above])  # modulo 256, as in PNG
    sizes = np.abs(filtered.view(np.int8).astype(np.int16)).sum(axis=(2, 3), dtype=np.int64)  # [3, G·H]
    types = sizes.argmin(axis=0)
    chosen = filtered[types, np.arange(len(rows))].reshape(len(rows), -1)
    return zlib.compress(np.column_stack([types.astype(np.uint8), chosen]).tobytes(), 9)


def from_png_rows(compressed: bytes, shape: tuple[int, int, int, int]) -> Pixels:
    """Read what `to_png_rows` wrote, with zlib alone.

    shape: [G, H, W, C] of the images.
    Raises ValueError where it is something else, or more than 64 MiB.
    """
    count, height, width, channels = shape
    size = count * height * (1 + width * channels)
    check(0 < size <= MAX_BYTES)
    decoder = zlib.decompressobj()
    try:
        content = decoder.decompress(compressed, size + 1)
    except zlib.error:
        raise ValueError("not a zlib stream") from None
    check(len(content) == size and decoder.eof and not decoder.unused_data)
    table = np.frombuffer(content, np.uint8).reshape(count * height, -1)
    types, rows = table[:, 0], table[:, 1:].reshape(-1, width, channels).copy()
    check(types.max() <= UP)
    rows[types == SUB] = np.cumsum(rows[types == SUB], axis=1, dtype=np.uint8)
    for row in np.flatnonzero(types == UP):
        rows[row] += rows[row - 1] if row else 0
    return rows.reshape(shape)

"""PNG rows of golden examples: Pillow reads them once they have a PNG's header, and zlib alone suffices here."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from runtime.golden import MAX_BYTES, from_png_rows, to_png_rows
from runtime.image import Pixels


def as_png(compressed: bytes, width: int, height: int, channels: int) -> bytes:
    """Put a header and an end around PNG rows."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", compressed), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def photos(channels: int) -> Pixels:
    pixels = np.stack(load_sample_images().images)[:, 100:180, 200:290]
    return np.ascontiguousarray(pixels[..., :channels])


def noise(channels: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (3, 5, 7, channels), np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("images", [photos, noise])
def test_rows_are_those_of_a_png(images: object, channels: int) -> None:
    pixels: Pixels = images(channels)  # type: ignore[operator]
    compressed, (count, height, width, _) = to_png_rows(pixels), pixels.shape
    np.testing.assert_array_equal(from_png_rows(compressed, pixels.shape), pixels)
    with Image.open(io.BytesIO(as_png(compressed, width, count * height, channels))) as image:
        np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels)


def test_photos_get_smaller_and_use_every_filter() -> None:
    pixels = photos(3)
    compressed = to_png_rows(pixels)
    assert len(compressed) < 0.9 * len(zlib.compress(pixels.tobytes(), 9)) < pixels.nbytes
    table = np.frombuffer(zlib.decompress(compressed), np.uint8).reshape(-1, 1 + 90 * 3)
    assert set(table[:, 0]) >= {1, 2}


def rows_of(*types: int) -> bytes:
    return zlib.compress(b"".join(bytes([kind, 1, 2]) for kind in types))


@pytest.mark.parametrize(
    "compressed",
    [
        b"",
        b"x",
        rows_of(0),
        rows_of(0, 0, 0),
        rows_of(0, 3),
        rows_of(0, 255),
        rows_of(0, 0)[:-1],
        rows_of(0, 0) + b"x",
        zlib.compress(b"\0" * 10**8),
    ],
    ids=["empty", "no zlib", "a row", "three rows", "Average", "no type", "cut short", "more", "bomb"],
)
def test_what_is_no_png_rows(compressed: bytes) -> None:
    with pytest.raises(ValueError, match=r"out of range|not a zlib stream"):
        from_png_rows(compressed, (1, 2, 2, 1))


@pytest.mark.parametrize(
    ("rows", "pixels"),
    [([0, 1, 2, 0, 3, 4], [1, 2, 3, 4]), ([1, 1, 2, 1, 3, 255], [1, 3, 3, 2]), ([2, 1, 3, 2, 1, 254], [1, 3, 2, 1])],
    ids=["None", "Sub", "Up"],
)
def test_the_first_row_has_black_above_and_the_first_pixel_to_the_left(rows: list[int], pixels: list[int]) -> None:
    assert from_png_rows(zlib.compress(bytes(rows)), (1, 2, 2, 1)).ravel().tolist() == pixels


def test_a_bomb_is_not_unpacked_whole() -> None:
    bomb = zlib.compress(bytes(10**8))
    tracemalloc.start()
    with pytest.raises(ValueError, match="out of range"):
        from_png_rows(bomb, (1, 2, 2, 1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**6


def test_not_more_than_may_be_unpacked() -> None:
    with pytest.raises(ValueError, match="out of range"):
        from_png_rows(zlib.compress(bytes(MAX_BYTES + 1)), (1, 1, MAX_BYTES, 1))

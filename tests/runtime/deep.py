"""Image files of 16 bits a channel, which Pillow cannot write: bytes from uint16 [H, W, C]."""

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Deep = NDArray[Any]
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def deep(channels: int, most: int = 2**16 - 1, seed: int = 0) -> Deep:
    """Random values, whose alpha is full: uint16 [19, 23, C]."""
    values = np.random.default_rng([seed, most]).integers(0, most + 1, (19, 23, channels)).astype(np.uint16)
    values[0, 0, 0] = most
    if channels in (2, 4):
        values[:, :, -1] = 2**16 - 1
    return values


def png(values: Deep, *, interlaced: bool = False, orientation: int = 1) -> bytes:
    height, width, channels = values.shape
    parts = [values[y::dy, x::dx] for x, y, dx, dy in PASSES] if interlaced else [values]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for part in parts if part.size for row in part)
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, interlaced)
    exif = struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, 274, 3, 1, orientation, 0)
    chunks = (b"IHDR" + header, b"eXIf" + exif, b"IDAT" + zlib.compress(rows), b"IEND")
    packed = (struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def ppm(values: Deep, *, most: int = 2**16 - 1, plain: bool = False) -> bytes:
    height, width, channels = values.shape
    kind = (2 if plain else 5) if channels == 1 else (3 if plain else 6)
    pixels = " ".join(map(str, values.ravel())).encode() if plain else values.astype(">u2").tobytes()
    return f"P{kind}\n{width} {height}\n{most}\n".encode() + pixels


def tiff(
    values: Deep, *, order: str = "<", planes: bool = False, tile: int = 0, packed: bool = False, extra: int = 2
) -> bytes:
    """Write a TIFF file: a strip of five rows, or square tiles, after another; Deflate where packed.

    extra: what a fourth channel is: 0 unknown, 1 alpha that is multiplied already, 2 alpha.
    """
    (height, width, channels), kind = values.shape, values.dtype.kind
    parts = [values[:, :, [channel]] for channel in range(channels)] if planes else [values]
    rows, columns = (tile, tile) if tile else (5, width)
    blocks = []
    for part in parts:
        whole = np.pad(part, ((0, -height % tile), (0, -width % tile), (0, 0))) if tile else part
        for y in range(0, height, rows):
            blocks += [whole[y : y + rows, x : x + columns] for x in range(0, width, columns)]
    data = [block.astype(f"{order}{block.dtype.str[1:]}").tobytes() for block in blocks]
    data = [zlib.compress(block) for block in data] if packed else data
    tags: dict[int, list[int]] = {
        256: [width], 257: [height], 258: [values.dtype.itemsize * 8] * channels, 259: [8 if packed else 1],
        262: [2 if channels > 2 else 1], 277: [channels], 284: [1 + planes], 339: [1 + (kind == "i")] * channels,
    }  # fmt: skip
    offsets = [8 + sum(map(len, data[:place])) for place in range(len(data))]
    sizes = {325 if tile else 279: [*map(len, data)], 324 if tile else 273: offsets}
    tags |= sizes | ({322: [tile], 323: [tile]} if tile else {278: [rows]})
    if channels == 4:
        tags[338] = [extra]
    return _file(order, b"".join(data), tags)


def _file(order: str, body: bytes, tags: dict[int, list[int]]) -> bytes:
    start, later, entries = 8 + len(body), b"", b""
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        if len(packed) > 4:
            packed, later = struct.pack(f"{order}I", start + 6 + 12 * len(tags) + len(later)), later + packed
        entries += struct.pack(f"{order}HHI", tag, 4, len(values)) + packed
    directory = struct.pack(f"{order}H", len(tags)) + entries + bytes(4)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)
    return head + body + directory + later

"""Image files of every kind that browsers and Pillow decode alike."""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin

from runtime.image import Pixels

ORIENTATION = 0x112
SIZES = [(45, 33), (1, 1), (3, 500), (500, 3), (64, 64), (27, 31), (130, 97)]


def pixels(width: int, height: int, channels: int, seed: int = 0) -> Pixels:
    """Random colours that change smoothly: uint8 [H, W, C]."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (height // 8 + 2, width // 8 + 2, 4), np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR))
    return smooth[:, :, :channels] if channels > 1 else smooth[:, :, :1]


def picture(width: int, height: int, mode: str, seed: int = 0) -> Image.Image:
    if mode in ("L", "RGB", "RGBA"):
        found = pixels(width, height, {"L": 1, "RGB": 3, "RGBA": 4}[mode], seed)
        return Image.fromarray(found.squeeze(2) if mode == "L" else found)
    if mode == "P":
        return picture(width, height, "RGB", seed).quantize(16)
    return picture(width, height, "RGBA" if mode == "LA" else "RGB", seed).convert(mode)


def encoded(image: Image.Image, kind: str, **settings: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def deep_png(values: NDArray[np.uint16], color: int) -> bytes:
    """A PNG file of 16 bits: uint16 [H, W, C]; color: PNG's colour type."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values.reshape(height, -1))
    chunks = (
        (b"IHDR", struct.pack(">2I5B", width, height, 16, color, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    sealed = [(len(data), kind + data, zlib.crc32(kind + data)) for kind, data in chunks]
    parts = [struct.pack(">I", size) + content + struct.pack(">I", digest) for size, content, digest in sealed]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def swapped_profile() -> bytes:
    """A colour profile that shows red as green."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.find(b"rXYZ"), profile.find(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


def all_pairs() -> Image.Image:
    """Every colour with every alpha, in each channel."""
    colour, alpha = np.meshgrid(np.arange(256), np.arange(256))
    return Image.fromarray(np.stack([colour, 255 - colour, (7 * colour + 3 * alpha) % 256, alpha], -1).astype(np.uint8))


def pictures() -> dict[str, bytes]:
    """Some 100 files, by what they are."""
    return dict([*_sizes(), *_orientations(), *_kinds(), *_deep(), *_colours()])


def _sizes() -> Iterator[tuple[str, bytes]]:
    for number, (width, height) in enumerate(SIZES):
        for mode in ("L", "RGB", "RGBA", "LA", "P", "1"):
            yield f"png {mode} {width}x{height}", encoded(picture(width, height, mode, number), "PNG")
        for mode in ("L", "RGB"):
            yield f"jpeg {mode} {width}x{height}", encoded(picture(width, height, mode, number), "JPEG", quality=88)
        yield f"webp {width}x{height}", encoded(picture(width, height, "RGB", number), "WEBP", quality=70)


def _orientations() -> Iterator[tuple[str, bytes]]:
    for orientation in range(1, 9):
        for kind in ("JPEG", "PNG"):
            yield f"{kind} turned {orientation}", encoded(picture(45, 33, "RGB"), kind, exif=turned(orientation))


def _kinds() -> Iterator[tuple[str, bytes]]:
    for number in range(3):
        yield f"jpeg subsampling {number}", encoded(picture(45, 33, "RGB"), "JPEG", subsampling=number, quality=60)
    yield "jpeg progressive", encoded(picture(45, 33, "RGB"), "JPEG", progressive=True)
    yield "jpeg cmyk", encoded(picture(45, 33, "CMYK"), "JPEG")
    yield "webp lossless", encoded(picture(45, 33, "RGB"), "WEBP", lossless=True)
    yield "webp alpha", encoded(picture(45, 33, "RGBA"), "WEBP", quality=80)
    yield "webp all pairs", encoded(all_pairs(), "WEBP", lossless=True, exact=True)
    yield "webp upright", encoded(picture(45, 33, "RGB"), "WEBP", exif=turned(1))
    yield "png all pairs", encoded(all_pairs(), "PNG")
    yield "png la all pairs", encoded(all_pairs().convert("LA"), "PNG")
    yield "png interlaced palette", encoded(picture(45, 33, "P"), "PNG", transparency=3)
    yield "png palette alpha", encoded(picture(45, 33, "P"), "PNG", transparency=bytes(range(0, 256, 16)))
    for mode in ("RGB", "L"):
        image = picture(45, 33, mode)
        yield f"png {mode} transparent colour", encoded(image, "PNG", transparency=image.getpixel((3, 3)))
    yield "gif", encoded(picture(45, 33, "P"), "GIF")
    yield "gif transparent", encoded(picture(45, 33, "P"), "GIF", transparency=5)
    for mode in ("RGB", "L"):
        yield f"bmp {mode}", encoded(picture(45, 33, mode), "BMP")
    yield "avif", encoded(picture(45, 33, "RGB"), "AVIF", quality=80)


def _deep() -> Iterator[tuple[str, bytes]]:
    generator = np.random.default_rng(0)
    for name, color, channels in (("grey", 0, 1), ("rgb", 2, 3), ("grey alpha", 4, 2), ("rgba", 6, 4)):
        yield f"png 16 bits {name}", deep_png(generator.integers(0, 2**16, (33, 45, channels)).astype(np.uint16), color)


def _colours() -> Iterator[tuple[str, bytes]]:
    for kind, settings in (("PNG", {}), ("JPEG", {}), ("WEBP", {"lossless": True})):
        profile = swapped_profile()
        yield f"{kind} with a profile", encoded(picture(45, 33, "RGB"), kind, icc_profile=profile, **settings)
    for mode in ("RGB", "RGBA"):
        gamma = PngImagePlugin.PngInfo()
        gamma.add(b"gAMA", struct.pack(">I", 100000))
        yield f"png {mode} with gamma", encoded(picture(45, 33, mode), "PNG", pnginfo=gamma)

"""Tells image files from others: by the endings of their names, else by their first bytes."""

from __future__ import annotations

import os
import re

from .errors import InputError
from .files import FilePath, check_regular, read_at_most

READ = "AVIF, BMP, GIF, HEIC, JPEG, JPEG 2000, PNG, PPM, TIFF, WebP"
SUFFIXES = (
    ".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".hif", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe", ".jpeg",
    ".jpf", ".jpg", ".jpx", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
HEAD_BYTES = 256
KINDS = [
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (rb"\xff\xd8\xff", "JPEG"),
        (rb"\x89PNG\r\n\x1a\n", "PNG"),
        (rb"GIF8[79]a", "GIF"),
        (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", "BMP"),
        (rb"RIFF.{4}WEBP", "WebP"),
        (rb"P[1-6][ \t\r\n]+[#0-9]", "PPM"),
        (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", "JPEG 2000"),
        (rb"(?:II[*+]\0|MM\0[*+]).{4}CR|FUJIFILMCCD-RAW|IIR[OS]|IIU\0|.{4}ftypcrx ", "camera raw"),
        (rb"II[*+]\0|MM\0[*+]", "TIFF"),
        (rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (rb"8BPS\0[\1\2]", "PSD"),
        (rb"\0\0[\1\2]\0[^\0]\0..\0", "ICO"),
        (rb"\x76\x2f\x31\x01", "OpenEXR"),
        (rb"#\?RADIANCE", "Radiance HDR"),
        (rb"DDS \x7c\0\0\0", "DDS"),
        (rb"qoif", "QOI"),
        (rb"SIMPLE  =", "FITS"),
        (rb".{128}DICM", "DICOM"),
    )
]
AVIF, HEIC = (
    {b"avif", b"avis"},
    {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"},
)


def kind_of(head: bytes) -> str | None:
    """Name the kind of image that a file of these first bytes is; None for what is no image, or none that is known."""
    if head[4:8] == b"ftyp":
        length = min(int.from_bytes(head[:4], "big"), HEAD_BYTES)
        brands = {head[at : at + 4] for at in range(8, length, 4)}
        if found := "AVIF" if brands & AVIF else "HEIC" if brands & HEIC else None:
            return found
    return next((kind for pattern, kind in KINDS if pattern.match(head)), None)


def is_named_as_image(name: str) -> bool:
    """Whether the ending of a file's name is that of an image which can be read, or can be where a package is there."""
    return name.lower().endswith(SUFFIXES)


def is_image(path: FilePath) -> bool:
    """Whether a file is an image, which may be of a kind that cannot be read, or damaged; hidden files are left out.

    It is one by the ending of its name, or by its first bytes.
    """
    name = os.path.basename(os.fspath(path))  # noqa: PTH119 - pathlib is slow to import
    return not name.startswith(".") and (is_named_as_image(name) or kind_of(_head(path)) is not None)


def _head(path: FilePath) -> bytes:
    """Read the first bytes of a file; none of what is no file or cannot be read."""
    try:
        check_regular(path, "an image file", InputError)
        return read_at_most(path, HEAD_BYTES - 1, HEAD_BYTES)
    except (InputError, OSError, ValueError):
        return b""

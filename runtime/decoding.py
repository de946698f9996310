"""Decodes image files with Pillow, which is imported only by the functions that need it."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Any

from .depth import colours
from .errors import InputError, needs_extra
from .files import check_regular, read_at_most, reason
from .image_files import HEAD_BYTES, READ, kind_of
from .jpeg import with_end
from .origin import raised_by
from .remarks import Remarks
from .sources import BYTES, Source

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from PIL import Image

PILLOW, PILLOW_HEIF = "PIL", "pillow_heif"
MAX_FILE_BYTES = 64 * 2**20
MAX_PIXELS = 64 * 10**6
MAX_PIXELS_WIDE = 50 * 10**6  # of AVIF, HEIC and JPEG 2000, whose decoders take more memory for each
# Pillow reads more formats; some of them start programs (EPS) or unpack without a limit.
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")  # and AVIF, where Pillow has it
WIDE = ("AVIF", "JPEG2000")
EXPECTED = "PNG, JPEG, …"
CONVERT = "convert it to PNG or JPEG"
NEW_SUBFILE_TYPE, REDUCED, DNG_VERSION = 254, 1, 50706  # in TIFF


def from_array(array: Any) -> Image.Image:
    """uint8 [H, W, C] → Pillow's image."""
    with needs_extra("image", "bringing an image to the model's size or colour"):
        from PIL import Image as pillow
    return pillow.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def decode(source: Source, *, shift: int = 8, remarks: Remarks | None = None) -> Image.Image:
    """Decode a file or its bytes, and apply the EXIF orientation. Raises InputError.

    shift: by which colours of 16 bits are brought to 8; greyscale keeps its depth.
    remarks: where to write what is to be said of the image.
    """
    if sys.modules.get(PILLOW) is None:
        with needs_extra("image", "decoding an image file"):
            import PIL  # noqa: F401
    data, name = (bytes(source), BYTES) if isinstance(source, (bytes, bytearray)) else _read(source)
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"{name}: expected at most {MAX_FILE_BYTES >> 20} MB, found a larger file: shrink it first")
    try:
        return _whole(data, shift, Remarks() if remarks is None else remarks)
    except InputError as error:
        error.args = (f"{name}: {error}",)
        raise
    except Exception as error:  # decoders raise many types on damaged data
        message = _refusal(error, data)
        if message is None:
            raise
        raise InputError(f"{name}: {message}") from error


def _whole(data: bytes, shift: int, remarks: Remarks) -> Image.Image:
    """Decode bytes; those of a JPEG file that lacks no more than its end marker too."""
    try:
        return _decoded(data, shift, remarks)
    except OSError as error:
        whole = with_end(data) if raised_by(error, PILLOW) and kind_of(data[:HEAD_BYTES]) == "JPEG" else None
        if whole is None:
            raise
    remarks.without_end = True
    return _decoded(whole, shift, remarks)


def _refusal(error: Exception, data: bytes) -> str | None:
    """Say what a decoder's error means; None for an error that is not a decoder's."""
    from PIL import Image as pillow
    from PIL import UnidentifiedImageError

    if isinstance(error, pillow.DecompressionBombError):
        return f"expected at most {MAX_PIXELS:,} pixels, found more: shrink it first"
    if isinstance(error, UnidentifiedImageError):
        return _unidentified(data)
    if any(raised_by(error, package) for package in (PILLOW, PILLOW_HEIF)):
        return f"expected a whole image, found one that cannot be decoded ({error})"
    return None


def _decoded(data: bytes, shift: int, remarks: Remarks) -> Image.Image:
    from PIL import ImageOps

    with _opened(data) as image:
        found, remarks.largest = colours(image, lambda: _opened(data), shift)
        found.load()
        if found.info or hasattr(found, "tag_v2"):  # where Pillow keeps EXIF
            ImageOps.exif_transpose(found, in_place=True)
        return found


def _opened(data: bytes) -> Image.Image:
    """Open an image file without loading its pixels."""
    from PIL import Image as pillow

    kind = kind_of(data[:HEAD_BYTES])
    if kind == "HEIC":
        return _from_heic(data)
    image = pillow.open(io.BytesIO(data), formats=("AVIF",) if kind == "AVIF" and _reads_avif() else FORMATS)
    _check_size(image.size, MAX_PIXELS_WIDE if image.format in WIDE else MAX_PIXELS)
    tags = getattr(image, "tag_v2", {})
    if DNG_VERSION in tags or tags.get(NEW_SUBFILE_TYPE) == REDUCED:
        raise InputError(f"expected an image, found the small preview in a camera's raw file: {CONVERT}")
    return image


def _from_heic(data: bytes) -> Image.Image:
    """Decode HEIC without telling Pillow of the decoder, which would then have it in the whole process."""
    try:
        import pillow_heif
    except ModuleNotFoundError:
        message = f"expected an image that can be read here, found HEIC: pip install 'softmax-kit[heif]', or {CONVERT}"
        raise InputError(message) from None
    file = pillow_heif.open_heif(io.BytesIO(data))
    _check_size(file.size, MAX_PIXELS_WIDE)
    image: Image.Image = file.to_pillow()
    return image


def _reads_avif() -> bool:
    try:
        from PIL import AvifImagePlugin
    except ImportError:  # before Pillow 11.3
        return False
    return bool(AvifImagePlugin.SUPPORTED)


def _check_size(size: tuple[int, ...], most: int) -> None:
    width, height = size
    if width * height > most:
        raise InputError(f"expected at most {most:,} pixels, found {width} × {height}: shrink it first")


def _unidentified(data: bytes) -> str:
    """Say what was found in place of an image that Pillow knows."""
    kind = kind_of(data[:HEAD_BYTES])
    if kind == "AVIF" and not _reads_avif():
        return f"expected an image that can be read here, found AVIF: pip install 'pillow>=11.3', or {CONVERT}"
    if kind and kind not in READ:
        return f"expected an image file ({EXPECTED}), found {kind}: {CONVERT}"
    if kind in ("AVIF", "JPEG 2000", "TIFF"):
        return (
            f"expected an image file ({EXPECTED}), found {kind} that is damaged, or of a form unknown here: {CONVERT}"
        )
    return f"expected an image file ({EXPECTED}), found {_glimpse(data)}"


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

"""Which files are images: by name, or by their first bytes."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.image_files import HEAD_BYTES, is_image, is_named_as_image, kind_of

from .deep import deep, png, ppm, tiff

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 9, 3), np.uint8))


def saved(kind: str, **settings: object) -> bytes:
    file = io.BytesIO()
    PICTURE.save(file, kind, **settings)
    return file.getvalue()


WRITTEN = {
    "AVIF": "AVIF", "BMP": "BMP", "DDS": "DDS", "GIF": "GIF", "ICO": "ICO", "JPEG": "JPEG", "JPEG2000": "JPEG 2000",
    "PNG": "PNG", "PPM": "PPM", "QOI": "QOI", "TIFF": "TIFF", "WEBP": "WebP",
}  # fmt: skip


@pytest.mark.parametrize("kind", WRITTEN)
def test_what_pillow_writes(kind: str) -> None:
    assert kind_of(saved(kind)[:HEAD_BYTES]) == WRITTEN[kind]


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (saved("JPEG2000", no_jp2=True), "JPEG 2000"),
        (saved("TIFF", big_tiff=True), "TIFF"),
        (png(deep(3)), "PNG"),
        (tiff(deep(1), order=">"), "TIFF"),
        (ppm(deep(1), plain=True), "PPM"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
        (b"\0\0\0\x10ftypisom\0\0\0\0heic", None),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "camera raw"),
        (b"II*\0\x10\0\0\0CR\2\0", "camera raw"),
        (b"IIRO\x08\0\0\0", "camera raw"),
        (b"FUJIFILMCCD-RAW 0201", "camera raw"),
        (b"\xff\x0a\xfa", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"8BPS\0\1", "PSD"),
        (b"\x76\x2f\x31\x01", "OpenEXR"),
        (b"#?RADIANCE\n", "Radiance HDR"),
        (b"SIMPLE  =   T", "FITS"),
        (bytes(128) + b"DICM", "DICOM"),
        (b"", None),
        (b"P5", None),
        (b"P for Paul", None),
        (b"BM", None),
        (b"BMW is a make of cars, and so is Fiat", None),
        (b"GIF is a format", None),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"PK\3\4", None),
        (b"PAR1", None),
        (b"%PDF-1.7", None),
        (b"%!PS-Adobe-3.0 EPSF-3.0", None),
        (b"\x89PNG", None),
    ],
)
def test_the_first_bytes_tell_the_kind(head: bytes, kind: str | None) -> None:
    assert kind_of(head[:HEAD_BYTES]) == kind


@pytest.mark.parametrize("name", ["a.jfif", "b.JPE", "c.pgm", "d.jp2", "e.HEIC", "f.heif", "g.avif", "h.TIF", "i.dib"])
def test_a_name_is_enough(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"")
    assert is_named_as_image(name)
    assert is_image(tmp_path / name)
    (tmp_path / f".{name}").write_bytes(saved("PNG"))
    assert not is_image(tmp_path / f".{name}")


@pytest.mark.parametrize("name", ["a", "a.dat", "a.txt", "a.PNG.part"])
def test_the_content_is_enough(name: str, tmp_path: Path) -> None:
    assert not is_named_as_image(name)
    (tmp_path / name).write_bytes(b"words")
    assert not is_image(tmp_path / name)
    (tmp_path / name).write_bytes(saved("PNG"))
    assert is_image(tmp_path / name)
    (tmp_path / f".{name}").write_bytes(saved("PNG"))
    assert not is_image(tmp_path / f".{name}")


def test_what_is_no_file_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    assert not any(is_image(tmp_path / name) for name in ("pipe", "link", "folder", "absent"))

"""Image files: of every kind that is read, and those that have no path, as resources of a package in a zip file."""

import importlib.resources
import io
import re
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import AvifImagePlugin, Image, ImageOps

from runtime import Classifier, InputError
from runtime.decoding import decode
from runtime.image import ImageContract, Pixels
from runtime.remarks import Remarks

from .deep import deep, tiff
from .heif import heic

Y, X = np.mgrid[0:96, 0:128]
RAMPS = np.stack([2 * X, 2 * Y, X + Y], 2).astype(np.uint8)
PICTURE = Image.fromarray(RAMPS)
LOSS = 4  # of the codecs, at their best


def saved(kind: str, image: Image.Image = PICTURE, **settings: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def avif(image: Image.Image = PICTURE, **settings: object) -> bytes:
    return saved("AVIF", image, quality=100, subsampling="4:4:4", **settings)


def near(found: Image.Image, expected: Image.Image) -> bool:
    one, other = (np.asarray(image.convert("RGB")).astype(int) for image in (found, expected))
    return one.shape == other.shape and int(np.abs(one - other).max()) <= LOSS


HEIC: dict[str, Callable[[], bytes]] = {
    "HEIC": lambda: heic(PICTURE, quality=-1),
    "HEIC of two images": lambda: heic(PICTURE, PICTURE.rotate(90, expand=True), quality=-1),
    "HEIC with alpha": lambda: heic(PICTURE.convert("RGBA"), quality=-1),
}
OTHERS: dict[str, Callable[[], bytes]] = {
    "AVIF": avif,
    "AVIF of two images": lambda: avif(save_all=True, append_images=[PICTURE.rotate(180)]),
    "JPEG 2000": lambda: saved("JPEG2000"),
    "JPEG 2000 without a container": lambda: saved("JPEG2000", no_jp2=True),
    "JPEG 2000 with alpha": lambda: saved("JPEG2000", PICTURE.convert("RGBA")),
}
MADE = OTHERS | HEIC


@pytest.mark.parametrize("name", MADE)
def test_it_is_read_under_any_name(name: str, tmp_path: Path) -> None:
    (tmp_path / "image.jpg").write_bytes(MADE[name]())
    before = set(Image.OPEN), set(Image.EXTENSION)
    assert near(decode(tmp_path / "image.jpg"), PICTURE)
    assert (set(Image.OPEN) | {"AVIF"}, set(Image.EXTENSION)) == (before[0] | {"AVIF"}, before[1])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["AVIF", "HEIC"])
def test_it_is_turned_once(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = avif(exif=exif) if kind == "AVIF" else heic(PICTURE, orientation=orientation, quality=-1)
    turned = PICTURE.copy()
    turned.getexif()[0x0112] = orientation
    assert near(decode(data), ImageOps.exif_transpose(turned))


@pytest.mark.parametrize("bits", [10, 12])
def test_heic_says_how_many_bits_it_has(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """So its full range becomes that of 8 bits, at any shift."""
    pillow_heif = pytest.importorskip("pillow_heif")
    monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", bits == 12)
    wide = RAMPS.astype(np.uint16) * 257
    file, remarks = io.BytesIO(), Remarks()
    pillow_heif.from_bytes(mode="RGB;16", size=PICTURE.size, data=wide.tobytes()).save(file, quality=-1)
    assert near(decode(file.getvalue(), shift=0, remarks=remarks), PICTURE)
    assert not remarks


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("name", MADE)
def test_truncated(name: str, share: float) -> None:
    data = MADE[name]()
    with pytest.raises(InputError, match=r"^these bytes: expected "):
        decode(data[: int(len(data) * share)])


def test_without_pillow_heif(monkeypatch: pytest.MonkeyPatch) -> None:
    data = heic(PICTURE)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    message = "these bytes: expected an image that can be read here, found HEIC: pip install 'softmax-kit[heif]', or"
    with pytest.raises(InputError, match=f"^{re.escape(message)} convert it to PNG or JPEG$"):
        decode(data)


def test_with_a_pillow_that_has_no_avif(monkeypatch: pytest.MonkeyPatch) -> None:
    data = avif()
    monkeypatch.setattr(AvifImagePlugin, "SUPPORTED", False)
    message = "these bytes: expected an image that can be read here, found AVIF: pip install 'pillow>=11.3', or"
    with pytest.raises(InputError, match=f"^{re.escape(message)} convert it to PNG or JPEG$"):
        decode(data)


def enlarged(data: bytes, mark: bytes, after: int) -> bytes:
    """Declare 30,000 × 30,000 pixels, `after` bytes behind each mark."""
    out = bytearray(data)
    for found in re.finditer(re.escape(mark), data):
        out[found.start() + after : found.start() + after + 8] = struct.pack(">II", 30_000, 30_000)
    return bytes(out)


BOMBS: list[Callable[[], bytes]] = [
    lambda: enlarged(saved("JPEG2000"), b"ihdr", 4),
    lambda: enlarged(saved("JPEG2000", no_jp2=True), b"\xff\x51", 6),
    lambda: enlarged(heic(PICTURE), b"ispe", 8),
    lambda: avif(Image.new("L", (8000, 6300)), speed=10),
    lambda: saved("JPEG2000", Image.new("L", (8000, 6300))),
]


@pytest.mark.parametrize("bomb", [*range(3), pytest.param(3, marks=pytest.mark.slow), 4])
def test_a_bomb_is_refused_before_it_is_decoded(bomb: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = BOMBS[bomb]()
    monkeypatch.setattr("runtime.decoding.colours", None)
    with pytest.raises(InputError, match=r"expected at most (50|64),000,000 pixels, found .*: shrink it first$"):
        decode(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\0\0\0\x0cJXL \r\n\x87\n", "an image file (PNG, JPEG, …), found JPEG XL: convert it to PNG or JPEG"),
        (b"8BPS\0\1", "an image file (PNG, JPEG, …), found PSD: convert it to PNG or JPEG"),
        (
            tiff(deep(1).astype(np.uint32), order=">"),
            "an image file (PNG, JPEG, …), found TIFF that is damaged, or of a form unknown here: convert it to PNG or "
            "JPEG",
        ),
        (
            tiff(deep(1)).replace(struct.pack("<HHII", 284, 4, 1, 1), struct.pack("<HHII", 254, 4, 1, 1)),
            "an image, found the small preview in a camera's raw file: convert it to PNG or JPEG",
        ),
    ],
)
def test_what_is_found_instead(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=f"^these bytes: expected {re.escape(message)}$"):
        ImageContract(height=8, width=8).pixels(data)


def test_a_resource_of_a_package(
    classifier: Classifier, encoded: list[bytes], images: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as file:
        file.writestr("pictured/__init__.py", "")
        file.writestr("pictured/3.png", encoded[3])
        file.writestr("pictured/bad.png", b"no image")
    monkeypatch.syspath_prepend(tmp_path / "pictures.zip")
    folder = importlib.resources.files("pictured")
    assert classifier.classify(folder / "3.png") == classifier.classify(images[3])
    assert classifier.classify_batch([folder / "3.png"]) == classifier.classify_batch([images[3]])
    with pytest.raises(
        InputError, match=r"pictures\.zip/pictured/absent\.png: expected an image file that can be read"
    ):
        classifier.classify(folder / "absent.png")
    with pytest.raises(InputError, match=r"pictures\.zip/pictured/bad\.png: expected an image file \(PNG"):
        classifier.classify(folder / "bad.png")
    with pytest.raises(InputError, match="got one, a Path: pass it to classify"):
        classifier.classify_batch(folder / "3.png")  # type: ignore[arg-type]

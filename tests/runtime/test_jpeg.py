"""JPEG files without an end marker are read if no pixel is missing, and refused if one is."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile
from PIL.Image import Image as Picture

from runtime import InputError
from runtime.image import ImageContract, read_images
from runtime.jpeg import with_end
from runtime.remarks import ImageWarning, Remarks

Y, X = np.mgrid[0:97, 0:131]
SMOOTH = np.stack([np.sin(X / 9) * 100 + 120, np.cos(Y / 7) * 90 + 120, (X + Y) % 256], 2).clip(0, 255).astype(np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, SMOOTH.shape, np.uint8)
CLEAR = np.where(Y[:, :, None] < 30, SMOOTH, np.uint8(128))  # what libjpeg puts in place of missing pixels
IMAGES = {"smooth": SMOOTH, "noise": NOISE, "clear below": CLEAR, "one block": NOISE[:8, :8]}
KINDS: list[dict[str, Any]] = [
    {}, {"progressive": True}, {"restart_marker_blocks": 3}, {"restart_marker_rows": 1}, {"subsampling": 0},
    {"optimize": True, "quality": 100}, {"quality": 5},
]  # fmt: skip
WHOLE = ImageContract(height=97, width=131, color="RGB")


def jpeg(pixels: Any, mode: str = "RGB", **settings: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "JPEG", **settings)
    return file.getvalue()


def decoded(data: bytes) -> Any:
    try:
        return WHOLE.pixels(data, Remarks())
    except InputError:
        return None


@pytest.mark.parametrize("kind", range(len(KINDS)))
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("name", IMAGES)
def test_a_file_is_read_with_all_its_pixels_or_not_at_all(name: str, mode: str, kind: int) -> None:
    data = jpeg(IMAGES[name], mode, **KINDS[kind])
    whole = decoded(data)
    for cut in (1, 2):
        np.testing.assert_array_equal(decoded(data[:-cut]), whole)
    for cut in (3, 4, 5, 6, 8, 10, 16, 17, 18, 30, 100, len(data) // 4, len(data) // 2, len(data) - 300):
        found = decoded(data[:-cut])
        assert found is None or np.array_equal(found, whole), cut


@pytest.mark.parametrize("settings", [{}, {"progressive": True}, {"restart_marker_blocks": 3}])
def test_a_file_whose_scan_is_cut_is_refused(settings: dict[str, Any]) -> None:
    data = jpeg(NOISE, **settings)
    for cut in (20, 100, len(data) // 4, len(data) // 2):
        with pytest.raises(InputError, match="expected a whole image, found one that cannot be decoded"):
            WHOLE.pixels(data[:-cut])


def test_scans_that_are_missing_are_pixels_that_are_missing() -> None:
    data = jpeg(SMOOTH, progressive=True)
    for last in range(4, data.count(b"\xff\xda")):
        cut = data.split(b"\xff\xda")
        assert with_end(b"\xff\xda".join(cut[:last])) is None
    assert with_end(data[:-2]) == data


def test_padding_in_place_of_pixels() -> None:
    """As a disk that was full leaves a file; where it holds as many bytes as pixels need, nothing tells."""
    data = jpeg(SMOOTH)
    assert with_end(data[: len(data) // 2] + bytes(500)) is None


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"\xff\xd8\xff\xc0\0", jpeg(SMOOTH)[:300], b"\xff\xd8\xff\xda"])
def test_what_has_no_pixels(data: bytes) -> None:
    assert with_end(data) is None


def test_it_is_said_and_noted() -> None:
    data = jpeg(SMOOTH)[:-2]
    message = "these bytes: expected JPEG files with an end marker, found 1 of 1 images without, which were read"
    with pytest.warns(ImageWarning, match=message):
        WHOLE.pixels(data)
    ((_, remarks),) = read_images([data], WHOLE)
    assert remarks == Remarks(without_end=True)


def test_a_whole_file_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And Pillow's own switch stays as it is."""
    loads: list[int] = []
    load = ImageFile.ImageFile.load

    def counted(image: ImageFile.ImageFile) -> Any:
        loads.append(len(image.tile))
        return load(image)

    monkeypatch.setattr("runtime.decoding.with_end", None)
    monkeypatch.setattr(ImageFile.ImageFile, "load", counted)
    assert isinstance(decoded(jpeg(SMOOTH)), np.ndarray)
    assert [tiles for tiles in loads if tiles] == [1]
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_phones_write_a_second_image_behind_the_first() -> None:
    file = io.BytesIO()
    images: list[Picture] = [Image.fromarray(SMOOTH), Image.fromarray(NOISE)]
    images[0].save(file, "MPO", save_all=True, append_images=images[1:])
    whole = decoded(file.getvalue())
    assert whole is not None
    np.testing.assert_array_equal(decoded(file.getvalue()[:-2]), whole)

"""The image contract: every kind of image becomes the same pixels, and what is no image is refused."""

import io
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runtime import InputError
from runtime.image import ImageContract
from tests.interpreter import run_python

GREY = ImageContract(height=4, width=6)
COLOUR = ImageContract(height=4, width=6, color="RGB")


def noise(*shape: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def encode(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:  # noqa: A002
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def test_an_array_of_the_models_size_is_used_as_it_is() -> None:
    pixels = noise(4, 6, 1)
    assert GREY.pixels(pixels) is pixels
    assert np.shares_memory(GREY.pixels(pixels[:, :, 0]), pixels)
    colour = noise(4, 6, 3)
    assert COLOUR.pixels(colour) is colour


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="has no files that hold more than they say")
def test_a_file_that_holds_more_than_it_says_is_read_to_its_end() -> None:
    with pytest.raises(InputError, match=r"found [1-9]\d{2,} bytes that begin b'Name:"):
        GREY.pixels("/proc/self/status")


@pytest.mark.parametrize("contract", [GREY, COLOUR])
@pytest.mark.parametrize("shape", [(4, 6, 1), (4, 6, 3), (9, 5, 1), (50, 40, 3)])
def test_arrays_files_bytes_and_pillow_images_become_the_same_pixels(
    contract: ImageContract, shape: tuple[int, ...], tmp_path: Path
) -> None:
    array = noise(*shape)
    image = Image.fromarray(array.squeeze())
    image.save(tmp_path / "image.png")
    expected = np.asarray(
        image.convert(contract.color)
        .resize((6, image.height), Image.Resampling.BILINEAR)
        .resize((6, 4), Image.Resampling.BILINEAR)
    ).reshape(contract.shape)
    sources = [
        array,
        image,
        tmp_path / "image.png",
        str(tmp_path / "image.png"),
        encode(image),
        bytearray(encode(image)),
    ]
    for source in sources:
        found = contract.pixels(source)  # type: ignore[arg-type]
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "GIF", "WEBP"])
def test_lossless_formats(format: str) -> None:  # noqa: A002
    pixels = noise(4, 6)
    options = {"lossless": True} if format == "WEBP" else {}
    data = encode(Image.fromarray(pixels), format, **options)
    np.testing.assert_array_equal(GREY.pixels(data)[:, :, 0], pixels)


def test_the_cameras_orientation_is_carried_out() -> None:
    image = Image.fromarray(noise(6, 4))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held so that the picture must be turned clockwise
    found = GREY.pixels(encode(image, exif=exif))
    np.testing.assert_array_equal(found[:, :, 0], np.rot90(np.asarray(image), -1))


def test_transparent_pixels_are_laid_on_white() -> None:
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[0, 0] = (9, 9, 9, 255)
    for image in (Image.fromarray(pixels), Image.fromarray(pixels).convert("LA")):
        found = GREY.pixels(encode(image))
        assert found[0, 0, 0] == 9
        assert (found.ravel()[1:] == 255).all()


def test_sixteen_bit_images_keep_their_upper_bits() -> None:
    deep = np.random.default_rng(0).integers(0, 2**16, (4, 6), np.uint16)
    np.testing.assert_array_equal(GREY.pixels(encode(Image.fromarray(deep)))[:, :, 0], deep >> 8)


def test_one_bit_and_palette_images() -> None:
    black_and_white = Image.fromarray(noise(4, 6) > 127)
    np.testing.assert_array_equal(GREY.pixels(encode(black_and_white))[:, :, 0], np.asarray(black_and_white) * 255)
    palette = Image.fromarray(noise(4, 6, 3)).quantize(8)
    np.testing.assert_array_equal(COLOUR.pixels(encode(palette)), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 6), np.float32), "expected uint8 pixels 0-255, got float32: pass raw pixels, the model scales"),
        (np.zeros((4, 6), np.int64), "expected uint8 pixels 0-255, got int64"),
        (np.zeros((4, 6), bool), "expected uint8 pixels 0-255, got bool"),
        (np.zeros((5, 5, 2), np.uint8), "expected [H, W], [H, W, 1] or [H, W, 3], got [5, 5, 2]"),
        (np.zeros((3, 4, 6), np.uint8), "expected [H, W], [H, W, 1] or [H, W, 3], got [3, 4, 6]"),
        (np.zeros(24, np.uint8), "got [24]"),
        (np.zeros((1, 4, 6, 1), np.uint8), "got [1, 4, 6, 1]"),
        (np.zeros((0, 6), np.uint8), "got [0, 6, 1]"),
        (np.array("x"), "expected uint8 pixels 0-255, got <U1"),
        (None, "expected a uint8 array, a Pillow image, a path or the bytes of an encoded image, found NoneType"),
        (7, "found int"),
        ([[0, 1], [2, 3]], "found list"),
        (b"", "these bytes: expected an image file (PNG, JPEG, …), found nothing (0 bytes)"),
        (b"not an image", "found 12 bytes that begin b'not an i'"),
        ("absent.png", "absent.png: expected an image file that can be read, found: No such file or directory"),
        ("", ": expected an image file that can be read, found: No such file or directory"),
        (Path(os.sep), "expected an image file that can be read, found: Is a directory"),
        ("nul\0.png", "expected an image file that can be read, found: embedded null byte"),
        (Image.new("LAB", (6, 4)), "expected an image that converts to L, got mode LAB"),
        (Image.new("F", (6, 4)), "expected 8-bit or 16-bit pixels, got a floating-point image"),
    ],
)  # fmt: skip
def test_what_is_no_image(image: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        GREY.pixels(image)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_files(format: str, share: float) -> None:  # noqa: A002
    data = encode(Image.fromarray(noise(64, 64, 3)), format)
    with pytest.raises(InputError, match="these bytes: expected"):
        GREY.pixels(data[: int(len(data) * share)])


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    bomb = encode(Image.new("1", (30_000, 30_000)))
    assert len(bomb) < 200_000
    with pytest.raises(InputError, match="expected at most 64,000,000 pixels, found more: shrink it first"):
        GREY.pixels(bomb)
    large = encode(Image.new("1", (8000, 9000)))
    with pytest.raises(InputError, match="expected at most 64,000,000 pixels, found 8000 × 9000: shrink it first"):
        GREY.pixels(large)


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(InputError, match="expected at most 64 MB, found a larger file"):
        GREY.pixels(path)


@pytest.mark.spawns
def test_files_need_pillow_and_arrays_of_the_models_size_do_not() -> None:
    code = """
import numpy as np
from runtime import KitError
from runtime.image import ImageContract
contract = ImageContract(height=2, width=2)
print(contract.pixels(np.zeros((2, 2), np.uint8)).shape)
for image in ("image.png", b"data", np.zeros((3, 3), np.uint8)):
    try:
        contract.pixels(image)
    except KitError as error:
        print(error)
"""
    result = run_python(code, without=["PIL"])
    tail = "needs PIL, which is not installed: pip install 'softmax-kit[image]'"
    assert result.stdout.splitlines() == [
        "(2, 2, 1)",
        f"decoding an image file {tail}",
        f"decoding an image file {tail}",
        f"bringing an image to the model's size or colour {tail}",
    ], result.stderr


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        ({"height": 0, "width": 1}, "expected an image side of 1 to 16,384 pixels, found 0"),
        ({"height": 1, "width": 1.5}, "found 1.5"),
        ({"height": True, "width": 1}, "found True"),
        ({"height": 1, "width": 1, "color": "CMYK"}, "expected one of L, RGB in the image contract, found 'CMYK'"),
        (
            {"height": 1, "width": 1, "fit": "zoom"},
            "expected one of stretch, crop, pad in the image contract, found 'zoom'",
        ),
        ({"height": 1, "width": 1, "fit": []}, "expected one of stretch, crop, pad in the image contract, found []"),
        ({"height": 1, "width": 1, "shift": 9}, "expected a shift of 16-bit pixels of 0 to 8, found 9"),
        ({"height": 1, "width": 1, "shift": -1}, "expected a shift of 16-bit pixels of 0 to 8, found -1"),
        ({"height": 1, "width": 1, "shift": False}, "expected a shift of 16-bit pixels of 0 to 8, found False"),
        ({"height": 1, "width": 1, "fill": (0,)}, "expected a fill only where fit is 'pad', found (0,) for 'stretch'"),
        *(
            ({"height": 1, "width": 1, "fit": "pad", "fill": fill}, "expected a fill of 1 integers of 0-255, one a")
            for fill in ((0, 0, 0), (256,), (-1,), [0], 0, (True,), (0.5,), ("0",), ())
        ),
        ({"height": 1, "width": 1, "filter": "magic"}, "expected one of bilinear in the image contract, found 'magic'"),
    ],
)
def test_contracts_that_no_image_can_meet(contract: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        ImageContract(**contract)

"""docs/artefact.md against the code: the steps from any image to the model's input, as the page has them."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from runtime import InputError
from runtime.image import ImageContract
from runtime.remarks import Remarks

Pixels = NDArray[np.uint8]
Integers = NDArray[np.int64]


def on_white(rgba: Pixels) -> Integers:
    """Step 3: [H, W, 4] → [H, W, 3]."""
    values, alpha = rgba[:, :, :3].astype(np.int64), rgba[:, :, 3:].astype(np.int64)
    return (2 * (values * alpha + 255 * (255 - alpha)) + 255) // 510


def to_grey(rgb: Integers) -> Integers:
    """Step 4: [H, W, 3] → [H, W, 1]."""
    red, green, blue = rgb[:, :, :1], rgb[:, :, 1:2], rgb[:, :, 2:]
    return 19595 * red + 38470 * green + 7471 * blue + 32768 >> 16


def one_pass(pixels: Integers, size: int) -> Integers:
    """Step 5, one pass: [n, ...] → [size, ...]."""
    n, m = len(pixels), size
    if n == m:
        return pixels
    r, rows = 2 * max(n, m), []
    for x in range(m):
        reach = [(i, r - abs((2 * i + 1) * m - (2 * x + 1) * n)) for i in range(n)]
        places, d = zip(*((i, d) for i, d in reach if d > 0), strict=True)
        w = [(2**23 * part + sum(d)) // (2 * sum(d)) for part in d]
        rows.append(np.tensordot(w, pixels[list(places)], axes=1) + 2**21 >> 22)
    return np.stack(rows).clip(0, 255)


def resized(pixels: Integers, height: int, width: int) -> Integers:
    return one_pass(one_pass(pixels.swapaxes(0, 1), width).swapaxes(0, 1), height)


def rounded(a: int, b: int) -> int:
    return (2 * a + b) // (2 * b)


def fitted(pixels: Integers, contract: ImageContract) -> Integers:
    """Step 5: [h, w, C] → [H, W, C]."""
    (h, w), (H, W) = pixels.shape[:2], contract.shape[:2]  # noqa: N806 - as on the page
    if contract.fit == "stretch":
        return resized(pixels, H, W)
    wide = w * H > h * W
    if contract.fit == "crop":
        rows, columns = (h, max(1, rounded(h * W, H))) if wide else (max(1, rounded(w * H, W)), w)
        top, left = (h - rows) // 2, (w - columns) // 2
        return resized(pixels[top : top + rows, left : left + columns], H, W)
    rows, columns = (max(1, rounded(h * W, w)), W) if wide else (H, max(1, rounded(w * H, h)))
    canvas = np.tile(np.array(contract.fill, np.int64), (H, W, 1))
    top, left = (H - rows) // 2, (W - columns) // 2
    canvas[top : top + rows, left : left + columns] = resized(pixels, rows, columns)
    return canvas


def contracts(generator: np.random.Generator) -> ImageContract:
    height, width = map(int, generator.integers(1, 70, 2))
    color = ("L", "RGB")[int(generator.integers(2))]
    fit = ("stretch", "crop", "pad")[int(generator.integers(3))]
    fill = tuple(map(int, generator.integers(0, 256, 1 if color == "L" else 3))) if fit == "pad" else None
    return ImageContract(height=height, width=width, color=color, fit=fit, fill=fill)


@pytest.mark.parametrize("seed", range(60))
def test_an_image_becomes_what_the_page_says(seed: int) -> None:
    """Steps 2 to 5, bit by bit, without Pillow."""
    generator = np.random.default_rng(seed)
    contract = contracts(generator)
    height, width = map(int, generator.integers(1, 70, 2))
    rgba = generator.integers(0, 256, (height, width, 4), np.uint8)
    for image, opaque in [
        (Image.fromarray(rgba), on_white(rgba)),
        (Image.fromarray(rgba[:, :, :3]), rgba[:, :, :3].astype(np.int64)),
        (Image.fromarray(rgba[:, :, 0]), rgba[:, :, :1].astype(np.int64)),
        (Image.fromarray(rgba[:, :, 0] * np.uint16(257)), rgba[:, :, :1].astype(np.int64)),
    ]:
        channels = opaque if opaque.shape[2] == 3 else opaque.repeat(3, axis=2)
        expected = fitted(to_grey(channels) if contract.color == "L" else channels, contract)
        np.testing.assert_array_equal(contract.pixels(image), expected)


def of_mode(mode: str, values: NDArray[np.uint8]) -> tuple[Image.Image, Image.Image]:
    """An image of a Pillow mode, and the same without transparency and in 8 bits: values [h, w, 3]."""
    if mode.startswith("I"):
        wide = values[:, :, 0].astype(np.uint16 if mode == "I;16" else np.int32) * 257
        return Image.fromarray(wide), Image.fromarray(values[:, :, 0])
    image = Image.fromarray(values).convert("P" if mode == "PA" else mode).convert(mode)
    if not image.has_transparency_data:
        return image, image
    return image, Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I", "I;16"]
)
def test_a_thousand_images_of_every_mode(mode: str) -> None:
    """77 of each; how a mode becomes RGB or grey is left to Pillow, which alone defines it."""
    generator = np.random.default_rng(5)
    for _ in range(77):
        contract = contracts(generator)
        height, width = map(int, generator.integers(1, 50, 2))
        image, opaque = of_mode(mode, generator.integers(0, 256, (height, width, 3), np.uint8))
        assert image.mode == mode
        pixels = np.asarray(opaque.convert(contract.color), np.int64).reshape(height, width, -1)
        np.testing.assert_array_equal(contract.pixels(image), fitted(pixels, contract))


@pytest.mark.parametrize(
    "n", [1, 2, 3, 7, 100, 255, 257, 640, 1000, 1023, 2448, 4032, 8191, pytest.param(16384, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("m", [1, 3, 28, 32, 96, 224])
def test_pillow_comes_to_the_same_weights(n: int, m: int) -> None:
    """Of random pixels a weight that differs by one changes some sums, if hardly ever a rounded one."""
    row = np.random.default_rng([n, m]).integers(0, 256, (1, n, 1), np.uint8)
    found = ImageContract(height=1, width=m).pixels(row[:, :, 0])
    np.testing.assert_array_equal(found[0], one_pass(row[0].astype(np.int64), m))


@pytest.mark.parametrize(
    ("shift", "expected"),
    [(8, [0, 0, 1, 16, 255]), (4, [0, 12, 16, 255, 255]), (1, [0, 100, 128, 255, 255]), (0, [0, 200, 255, 255, 255])],
)
@pytest.mark.parametrize("kind", [np.uint16, np.int32])
def test_sixteen_bits_are_shifted_as_the_contract_says(shift: int, expected: list[int], kind: type) -> None:
    values: NDArray[Any] = np.array([[0, 200, 256, 4096, 65535]], kind)
    remarks = Remarks()
    contract = ImageContract(height=1, width=5, shift=shift)
    assert contract.pixels(Image.fromarray(values), remarks).ravel().tolist() == expected
    assert remarks == Remarks(largest=65535)


@pytest.mark.parametrize("values", [[-1, 0], [0, 65536], [-(2**31), 2**31 - 1]])
def test_integers_that_16_bits_do_not_hold_are_refused(values: list[int]) -> None:
    message = f"expected pixels of 0-65,535, found {values[0]:,} to {values[1]:,}: scale them, and save the image with "
    with pytest.raises(InputError, match=f"^{message}8 or 16 bits$"):
        ImageContract(height=1, width=2).pixels(Image.fromarray(np.array([values], np.int32)))


def test_sides_that_would_round_to_nothing_keep_a_pixel() -> None:
    line = np.full((1, 500), 9, np.uint8)
    for fit in ("crop", "pad"):
        for image in (line, line.T):
            found = ImageContract(height=4, width=4, fit=fit).pixels(image)
            assert set(found.ravel().tolist()) == ({9} if fit == "crop" else {0, 9})


def test_black_is_around_an_image_where_nothing_is_said() -> None:
    assert ImageContract(height=2, width=4, color="RGB", fit="pad").fill == (0, 0, 0)

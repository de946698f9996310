"""docs/artefact.md against the code: the steps from any image to the model's input, as the page has them."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from runtime.image import ImageContract

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
    """Step 5: [n, ...] → [size, ...]."""
    if len(pixels) == size:
        return pixels
    scale = len(pixels) / size
    reach = max(scale, 1)
    rows = []
    for x in range(size):
        c = (x + 0.5) * scale
        first, last = max(0, int(c - reach + 0.5)), min(len(pixels), int(c + reach + 0.5))
        weights = [max(0, 1 - abs(i - c + 0.5) * (1 / reach)) for i in range(first, last)]
        integers = [int(2**22 * (weight / sum(weights)) + 0.5) for weight in weights]
        rows.append(np.tensordot(integers, pixels[first:last], axes=1) + 2**21 >> 22)
    return np.stack(rows).clip(0, 255)


def resized(pixels: Integers, height: int, width: int) -> Integers:
    return one_pass(one_pass(pixels.swapaxes(0, 1), width).swapaxes(0, 1), height)


@pytest.mark.parametrize("color", ["L", "RGB"])
@pytest.mark.parametrize("seed", range(25))
def test_an_image_becomes_what_the_page_says(color: str, seed: int) -> None:
    """Steps 2 to 5, bit by bit, without Pillow."""
    generator = np.random.default_rng(seed)
    height, width, to_height, to_width = map(int, generator.integers(1, 70, 4))
    contract = ImageContract(height=to_height, width=to_width, color=color)
    rgba = generator.integers(0, 256, (height, width, 4), np.uint8)
    for image, opaque in [
        (Image.fromarray(rgba), on_white(rgba)),
        (Image.fromarray(rgba[:, :, :3]), rgba[:, :, :3].astype(np.int64)),
        (Image.fromarray(rgba[:, :, 0]), rgba[:, :, :1].astype(np.int64)),
        (Image.fromarray(rgba[:, :, 0] * np.uint16(257)), rgba[:, :, :1].astype(np.int64)),
    ]:
        channels = opaque if opaque.shape[2] == 3 else opaque.repeat(3, axis=2)
        expected = resized(to_grey(channels) if color == "L" else channels, to_height, to_width)
        np.testing.assert_array_equal(contract.pixels(image), expected)

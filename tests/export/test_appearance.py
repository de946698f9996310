"""Pixel statistics of training images. tests/runtime/skew shows what their limits detect."""

import numpy as np

from export.appearance import pixel_statistics
from runtime.image import Pixels


def images(count: int) -> Pixels:
    """Bright discs on a dark ground, of different sizes and brightness."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:12, :12] - 5.5
    inside = x**2 + y**2 < generator.uniform(4, 20, (count, 1, 1))
    found: Pixels = (inside * generator.integers(120, 240, (count, 1, 1)) + 10).astype(np.uint8)[..., None]
    return found


def test_mean_and_standard_deviation_are_those_that_are_given() -> None:
    found = pixel_statistics(np.array([3.5, 4.5, 5.5]), np.array([1.0, 2.0, 3.0]), images(1).repeat(3, axis=-1))
    assert (found.mean, found.std) == ((3.5, 4.5, 5.5), (1.0, 2.0, 3.0))


def test_limits_need_32_images() -> None:
    mean = std = np.ones(1)
    few, enough = (pixel_statistics(mean, std, images(count)).appearance for count in (31, 32))
    assert few is not None
    assert enough is not None
    assert (few.one, few.several) == ({}, {})
    assert enough.one
    assert enough.several


def test_several_images_have_the_stricter_limits() -> None:
    """A share of the training images may be below them; none is below those for one image."""
    appearance = pixel_statistics(np.ones(1), np.ones(1), images(200)).appearance
    assert appearance is not None
    shared = appearance.one.keys() & appearance.several.keys()
    assert shared
    assert all(appearance.one[name] <= appearance.several[name] for name in shared)

"""Input skew: what is named, what stays silent, and what an artefact carries for it."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch

from runtime.image import Pixels
from runtime.pixel_statistics import PixelStatistics
from runtime.skew.measures import SEVERAL, findings
from tests.runtime.given import described, tinted
from trainer import Dataset
from trainer.provenance import training_sample

WINDOW = 32
ALTERED: dict[str, tuple[str, Callable[[Pixels], Pixels]]] = {
    "negative": ("inverted", lambda images: 255 - images),
    "scaled and rounded": ("scaled", lambda images: np.round(images / 255).astype(np.uint8)),
    "black": ("blank", np.zeros_like),
    "white": ("blank", lambda images: np.full_like(images, 255)),
    "grey": ("blank", lambda images: np.full_like(images, 128)),
    "a little noise": ("blank", lambda images: 128 + images // 128),
    "a quarter as bright": ("brightness", lambda images: images // 4),
    "a tenth as bright": ("brightness", lambda images: images // 10),
    "black at 128": ("brightness", lambda images: 128 + images // 2),
}
MODERATE: dict[str, tuple[float, float]] = {
    "as they are": (1.0, 0.0),
    "darker": (0.8, 0.0),
    "brighter": (1.2, 0.0),
    "flatter": (0.8, 25.6),
    "harder": (1.2, -25.6),
}


def causes(images: Pixels, statistics: PixelStatistics | None) -> list[str]:
    return [finding.cause for finding in findings(images, statistics)]


def windows(images: Pixels, size: int) -> list[Pixels]:
    return [images[start : start + size] for start in range(0, len(images) - size + 1, size)]


@pytest.fixture(scope="module")
def statistics(digits: Dataset) -> PixelStatistics:
    return described(training_sample(digits.train, 0))


@pytest.fixture(scope="module")
def pixels(digits: Dataset) -> Pixels:
    images: Pixels = digits.test.images.numpy()
    return images


@pytest.mark.parametrize("altered", ALTERED)
def test_causes_that_several_images_and_single_ones_tell(
    statistics: PixelStatistics, pixels: Pixels, altered: str
) -> None:
    cause, alter = ALTERED[altered]
    for size in (1, 2, SEVERAL, WINDOW, 64):
        for images in windows(alter(pixels[:128]), size):
            assert causes(images, statistics) == [cause]


@pytest.mark.parametrize("change", MODERATE)
@pytest.mark.parametrize("order", ["at random", "class after class"])
def test_moderate_changes_stay_silent(
    statistics: PixelStatistics, digits: Dataset, pixels: Pixels, change: str, order: str
) -> None:
    factor, offset = MODERATE[change]
    images = pixels if order == "at random" else pixels[digits.test.targets.argsort(stable=True).numpy()]
    images = np.clip(np.round(images * factor + offset), 0, 255).astype(np.uint8)
    for size in (1, SEVERAL, WINDOW):
        for window in windows(images, size):
            assert findings(window, statistics) == []


@pytest.mark.parametrize("tint", [(40, 0, -40), (-50, 0, 50), (0, 60, -60)])
def test_swapped_channels(tint: tuple[int, int, int]) -> None:
    statistics, images = described(tinted(400, tint)), tinted(64, tint, seed=1)
    assert causes(images, statistics) == []
    assert causes(images[..., ::-1], statistics) == ["swapped"]
    assert causes(images[:SEVERAL, ..., ::-1], statistics) == ["swapped"]
    for few in range(1, SEVERAL):
        assert causes(images[:few, ..., ::-1], statistics) == []  # so few may well have other colours


@pytest.mark.parametrize("tints", [[(0, 0, 0)], [(40, 0, -40), (-40, 0, 40)], [(0, 50, 0)]])
def test_colours_that_are_as_good_the_other_way_round(tints: list[tuple[int, int, int]]) -> None:
    statistics = described(np.concatenate([tinted(200, tint) for tint in tints]))
    for tint in tints:  # a window may have one of the colours alone
        assert causes(tinted(WINDOW, tint, seed=1)[..., ::-1], statistics) == []


def test_paler_and_grey_images_are_not_taken_for_swapped() -> None:
    statistics, images = described(tinted(400, (40, 0, -40))), tinted(64, (40, 0, -40), seed=1)
    grey = np.repeat(images.mean(axis=3, keepdims=True).astype(np.uint8), 3, axis=3)
    for other in (images // 2, 96 + images // 2, grey, 255 - grey):
        assert "swapped" not in causes(other, statistics)


@pytest.mark.parametrize("altered", ALTERED)
def test_greyscale_has_no_channels_to_swap(statistics: PixelStatistics, pixels: Pixels, altered: str) -> None:
    assert statistics.appearance
    assert statistics.appearance.colours == ()
    assert "order" not in statistics.appearance.several
    as_colours = described(np.repeat(pixels, 3, axis=3))
    alter = ALTERED[altered][1]
    assert "swapped" not in causes(alter(pixels), statistics)
    assert "swapped" not in causes(alter(np.repeat(pixels, 3, axis=3))[..., ::-1], as_colours)


def test_a_polarity_that_is_as_good_the_other_way_round(pixels: Pixels) -> None:
    both = np.concatenate([pixels, 255 - pixels])
    statistics = described(both)
    for images in (pixels, 255 - pixels):
        for size in (1, WINDOW):
            assert not any(findings(window, statistics) for window in windows(images, size))


def test_a_minority_is_no_finding_but_a_blank_image_is(statistics: PixelStatistics, pixels: Pixels) -> None:
    images = pixels[:WINDOW].copy()
    images[: WINDOW // 2 - 1] = 255 - images[: WINDOW // 2 - 1]
    assert findings(images, statistics) == []
    images[-1] = 0
    (finding,) = findings(images, statistics)
    assert (finding.cause, finding.share) == ("blank", 1 / WINDOW)


def test_two_causes_at_once(statistics: PixelStatistics, pixels: Pixels) -> None:
    images = 255 - pixels[:WINDOW]
    images[:4] = 9
    found = {finding.cause: finding.share for finding in findings(images, statistics)}
    assert found == {"blank": 4 / WINDOW, "inverted": 28 / WINDOW}


def test_black_ones_among_scaled_images_are_scaled(statistics: PixelStatistics, pixels: Pixels) -> None:
    images = pixels[:WINDOW] // 255  # cut, not rounded: without a pixel of 255 nothing is left
    assert 0 < (images.max(axis=(1, 2, 3)) == 0).sum() < WINDOW
    assert [(finding.cause, finding.share) for finding in findings(images, statistics)] == [("scaled", 1.0)]


def test_blank_images_that_the_training_images_have_too(pixels: Pixels) -> None:
    sample = pixels.copy()
    sample[0] = 0
    for value in (0, 255):
        assert "blank" not in causes(np.full((WINDOW, 8, 8, 1), value, np.uint8), described(sample))


def test_images_of_0_and_1_that_the_training_images_are_too(pixels: Pixels) -> None:
    images = np.round(pixels / 255).astype(np.uint8)
    for size in (1, WINDOW):
        assert not any(findings(window, described(images)) for window in windows(images, size))


@pytest.mark.parametrize("known", [None, PixelStatistics(mean=(77.9,), std=(95.8,))])
def test_without_an_appearance_only_what_no_image_may_be(known: PixelStatistics | None, pixels: Pixels) -> None:
    for cause, alter in ALTERED.values():
        for images in (alter(pixels[:1]), alter(pixels[:WINDOW])):
            expected = [cause] if cause == "scaled" or images.std() == 0 else []
            assert causes(images, known) == expected
    assert causes(np.zeros((3, 8, 8, 3), np.uint8), None) == ["blank"]


def test_scaled_training_pixels_in_old_statistics(pixels: Pixels) -> None:
    old = PixelStatistics(mean=(0.1,), std=(0.3,))
    assert findings(np.round(pixels / 255).astype(np.uint8), old) == []


@pytest.mark.parametrize("count", [1, 5, 31])
def test_too_few_training_images_to_tell_how_images_differ(pixels: Pixels, count: int) -> None:
    statistics = described(pixels[:count])
    assert causes(255 - pixels[:WINDOW], statistics) == []
    assert causes(pixels[:WINDOW] * 0, statistics) == ["blank"]


def test_no_images(statistics: PixelStatistics) -> None:
    for known in (statistics, None):
        assert findings(np.zeros((0, 8, 8, 1), np.uint8), known) == []


def test_what_a_finding_says(statistics: PixelStatistics, pixels: Pixels) -> None:
    (finding,) = findings(255 - pixels[:WINDOW], statistics)
    assert dataclasses.astuple(finding) == (
        "inverted",
        1.0,
        "expected light and dark as in the training images, found 32 of 32 images likely inverted: pass 255 - image",
    )
    (finding,) = findings(pixels[:1] // 4, statistics)
    assert finding.message == (
        "expected about the brightness of the training images, found the image far darker: check the exposure, and "
        "that pixels range over 0-255"
    )


def test_large_images_are_looked_at_in_part_but_blank_ones_whole() -> None:
    images = np.zeros((2, 500, 700, 3), np.uint8)
    assert [finding.share for finding in findings(images, None)] == [1.0]
    images[1, 333, 111] = 9
    assert [finding.share for finding in findings(images, None)] == [0.5]


@pytest.mark.parametrize("shape", [(1, 1), (1, 16384), (2, 3), (33, 65)])
def test_sizes(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for channels in (1, 3):
        images = rng.integers(0, 256, (64, *shape, channels), np.uint8)
        images.setflags(write=False)
        assert findings(images, described(images)) == []
        findings(images.transpose(0, 2, 1, 3)[:, ::-1], described(images.transpose(0, 2, 1, 3)))


@pytest.mark.parametrize("train", [True, False])
def test_fashion_mnist(fashion: Dataset, train: bool) -> None:
    statistics = described(training_sample(fashion.train, 0))
    images = (fashion.train if train else fashion.test).images[:2000]
    assert isinstance(images, torch.Tensor)
    for size in (1, WINDOW):
        assert not any(findings(window, statistics) for window in windows(images.numpy(), size))
        found = [causes(window, statistics) for window in windows(255 - images.numpy(), size)]
        assert found.count(["inverted"]) >= 0.999 * len(found)

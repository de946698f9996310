"""`near_copies`: altered copies among look-alikes, of several strengths; and what is no copy."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from trainer.auditing.aligned import BLUR, SAMPLES, grey_images, ratios, sampled
from trainer.auditing.copies import near_copies

Alter = Callable[[Image.Image], Image.Image]


def encoded(quality: int) -> Alter:
    def alter(picture: Image.Image) -> Image.Image:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return alter


def resized(share: float) -> Alter:
    def alter(picture: Image.Image) -> Image.Image:
        small = picture.resize((int(picture.width * share), int(picture.height * share)), Image.Resampling.BILINEAR)
        return small.resize(picture.size)

    return alter


def cropped(share: float) -> Alter:
    def alter(picture: Image.Image) -> Image.Image:
        across, down = (max(1, round(share * size)) for size in picture.size)
        return picture.crop((across, down, picture.width - across, picture.height - down)).resize(picture.size)

    return alter


ALTERATIONS = {
    "JPEG 40": encoded(40), "JPEG 60": encoded(60), "JPEG 80": encoded(80), "0.5 of the size": resized(0.5),
    "0.6 of the size": resized(0.6), "0.8 of the size": resized(0.8), "2 % cut off": cropped(0.02),
    "4 % cut off": cropped(0.04), "6 % cut off": cropped(0.06),
}  # fmt: skip


def altered(images: np.ndarray, alter: Alter) -> np.ndarray:
    """Alter images [N, H, W, C]."""
    squeezed = images.squeeze(3) if images.shape[3] == 1 else images
    pictures = [np.array(alter(Image.fromarray(image))) for image in squeezed]
    return np.array(pictures).reshape(images.shape)


def look_alikes(count: int, side: int = 28) -> np.ndarray:
    """Draw the same bright disc, each with other folds, all much nearer to each other than photos are."""
    generator = np.random.default_rng(0)
    down, across = np.mgrid[:side, :side] / side - 0.5
    inside = np.hypot(down, across) < 0.42
    waves = generator.uniform(2, 14, (count, 4, 2)) * generator.choice([-1, 1], (count, 4, 2))
    angles = waves[..., 0, None, None] * down + waves[..., 1, None, None] * across
    folds = np.cos(2 * angles + generator.uniform(0, 6, (count, 4, 1, 1))).sum(1)
    images: np.ndarray = (inside * (190 + 12 * folds)).clip(0, 255).astype(np.uint8)[..., None]
    return images


def pairs(images: np.ndarray) -> set[tuple[int, int]]:
    return {(pair.row, pair.other) for pair in near_copies(torch.from_numpy(images))}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_copies_among_look_alikes(name: str) -> None:
    images = look_alikes(500)
    found = pairs(np.concatenate([images, altered(images[:40], ALTERATIONS[name])]))
    assert len(found & {(500 + place, place) for place in range(40)}) >= 38
    assert [pair for pair in found if pair[0] < 500] == []


@pytest.mark.parametrize("name", ALTERATIONS)
def test_copies_among_photos_that_are_not_square(name: str) -> None:
    photo = load_sample_images().images[0]
    images = np.stack(
        [photo[top : top + 48, left : left + 80] for top in range(187, 427, 48) for left in range(0, 640, 80)]
    )
    found = pairs(np.concatenate([images, altered(images[:20], ALTERATIONS[name])]))
    assert len(found & {(len(images) + place, place) for place in range(20)}) >= 19
    assert [pair for pair in found if pair[0] < len(images)] == []


@pytest.mark.parametrize("count", [1, 2, 3, 9, 17])
def test_small_sets(count: int) -> None:
    images = look_alikes(count)
    assert pairs(images) == set()
    assert pairs(np.concatenate([images, images[:1]])) == {(count, 0)}


def test_uniform_images_are_no_copies() -> None:
    assert pairs(np.repeat(np.array([0, 90, 91, 255], np.uint8), 28 * 28).reshape(4, 28, 28, 1)) == set()


def test_every_copy_of_an_image_is_found_and_the_order_does_not_matter() -> None:
    images = look_alikes(60)
    ways = [ALTERATIONS[name] for name in ("JPEG 60", "0.6 of the size", "4 % cut off")]
    every = np.concatenate([images, *(altered(images[5:6], alter) for alter in ways)])
    assert {row for pair in pairs(every) for row in pair} == {5, 60, 61, 62}
    backwards = {(len(every) - 1 - other, len(every) - 1 - row) for row, other in pairs(every[::-1].copy())}
    assert backwards == pairs(every)


def test_ratios_ignore_brightness_and_contrast() -> None:
    images = torch.from_numpy(look_alikes(2))
    darker = (images.float() * 0.6 + 30).to(torch.uint8)
    samples = sampled(grey_images(torch.cat([images, darker])), SAMPLES, 0.0, BLUR)
    found = ratios(grey_images(images[:1]), samples[None], (0.0,))[0]
    assert (found < 1).tolist() == [True, False, True, False]


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    near_copies(torch.from_numpy(look_alikes(30)), progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (30, 30)

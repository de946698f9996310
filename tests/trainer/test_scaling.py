"""Centre and scale of the pixels."""

import numpy as np
import pytest
import torch

from trainer import Split
from trainer.scaling import LEAST_SHARE, moments, scaling
from trainer.solvers import auto


def split_of(images: np.ndarray) -> Split:
    return Split.of(images, np.arange(len(images)) % 2)


@pytest.fixture
def images() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, np.linspace(2, 256, 60).astype(int).reshape(5, 4, 3), (700, 5, 4, 3)).astype(np.uint8)


def test_moments_are_exact(images: np.ndarray) -> None:
    mean, squares = moments(torch.from_numpy(images))
    np.testing.assert_array_equal(mean, images.astype(np.int64).sum(0) / 700)
    np.testing.assert_array_equal(squares, (images.astype(np.int64) ** 2).sum(0) / 700)


def test_few_images_get_a_centre_and_scale_for_each_pixel(images: np.ndarray) -> None:
    centre, scale = scaling(split_of(images))
    own, common = images.std(0), np.sqrt(images.var(0).mean())
    np.testing.assert_allclose(centre, images.mean(0), rtol=1e-6)
    np.testing.assert_allclose(scale, np.sqrt(np.maximum(own, LEAST_SHARE * common) * common), rtol=1e-6)


def test_many_images_are_centred_by_channel(images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "IMAGES", 100)
    centre, scale = scaling(split_of(images))
    mean = images.mean((0, 1, 2))
    np.testing.assert_allclose(centre, np.broadcast_to(mean, (5, 4, 3)), rtol=1e-6)
    own = np.sqrt(((images - mean) ** 2).mean(0))
    np.testing.assert_allclose(scale, np.sqrt(own * np.sqrt((own**2).mean())), rtol=1e-5)


def test_a_mean_image_that_outweighs_the_rest_is_subtracted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "IMAGES", 100)
    rng = np.random.default_rng(0)
    images = (rng.integers(0, 250, (5, 4, 3)) + rng.integers(0, 4, (700, 5, 4, 3))).astype(np.uint8)
    np.testing.assert_allclose(scaling(split_of(images))[0], images.mean(0), rtol=1e-6)


def test_pixels_that_never_vary() -> None:
    images = np.full((20, 3, 3, 1), 7, np.uint8)
    centre, scale = scaling(split_of(images))
    assert (centre == 7).all()
    assert (scale == 1).all()
    images[:, 0, 0] = np.arange(20)[:, None]
    scale = scaling(split_of(images))[1]
    assert (scale > 0).all()
    assert torch.isfinite(scale).all()

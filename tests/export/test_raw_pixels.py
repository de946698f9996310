"""Modules of torch on raw pixels, against torch's own functions in float64."""

import numpy as np
import torch

from export.arithmetic.fold import Folded
from export.raw_pixels import RawPixels, SoftmaxRegression, run

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3, 2), np.uint8)


def test_softmax_regression() -> None:
    generator = np.random.default_rng(1)
    weights = generator.normal(0, 0.01, (24, 3)).astype(np.float32)
    bias = generator.normal(size=3).astype(np.float32)
    found = run(SoftmaxRegression(Folded(weights=weights, bias=bias)), IMAGES)
    logits = IMAGES.reshape(5, 24).astype(np.float64) @ weights + bias
    assert found.shape == (5, 3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, torch.softmax(torch.from_numpy(logits), dim=1), rtol=0, atol=1e-6)


def test_a_module_on_normalised_images() -> None:
    """Each channel has its own mean and standard deviation; the module gets [N, C, H, W]."""
    mean, std = torch.tensor([0.25, 0.5]).double(), torch.tensor([0.5, 2.0]).double()
    found = run(RawPixels(torch.nn.Flatten(), mean, std), IMAGES)
    normalised = (IMAGES.astype(np.float64) / 255 - mean.numpy()) / std.numpy()
    logits = torch.from_numpy(normalised.transpose(0, 3, 1, 2).reshape(5, 24))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, torch.softmax(logits, dim=1), rtol=1e-12)

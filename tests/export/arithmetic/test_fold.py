"""Weights and bias for raw pixels."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from export import ExportError, export
from export.arithmetic.fold import fold
from trainer import Checkpoint, Dataset


def test_folding_changes_no_logit(checkpoint: Checkpoint, digits: Dataset) -> None:
    weights, bias = fold(checkpoint)
    pixels = digits.test.images.numpy().reshape(360, 64).astype(np.float64)
    expected = ((pixels - checkpoint.mean) / checkpoint.std) @ checkpoint.weights.astype(np.float64) + checkpoint.bias
    np.testing.assert_allclose(pixels @ weights + bias, expected, rtol=0, atol=1e-12)


def test_weights_that_float32_cannot_hold_once_folded(checkpoint: Checkpoint, tmp_path: Path) -> None:
    weights = np.full_like(checkpoint.weights, 1e38)
    beyond = dataclasses.replace(checkpoint, weights=weights, std=np.full_like(checkpoint.std, 1e-3))
    with pytest.raises(ExportError, match=r"float32 can hold, found \d\.0e\+44: train with a smaller --lr$"):
        export(beyond, "onnx", tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []

"""What cannot be written in 8 bits."""

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from export import ExportError
from export.arithmetic import quantise as module
from export.arithmetic.quantise import quantise
from tests.export.arithmetic.regression import Digits


def test_sums_that_could_leave_int32(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are integers in units of the scale already, and a pass over so many takes seconds."""
    monkeypatch.setattr(module, "PASSES", 0)
    weights = np.full((66312, 2), [0.5, -1.0])
    weights[::2, 0] *= -1
    expected = (
        "expected sums of pixels times integer weights below 2³¹, found up to 2147514120 for class 1: "
        "train on smaller images, or export float32 weights"
    )
    with pytest.raises(ExportError, match=re.escape(expected)):
        quantise(weights, np.zeros(2), np.zeros((1, 66312), np.uint8))


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_largest_sum_that_int32_holds(sign: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PASSES", 0)
    weights, sample = np.full((66312, 1), float(sign)), np.zeros((1, 66312), np.uint8)
    quantise(weights[1:], np.zeros(1), sample[:, 1:])
    with pytest.raises(ExportError, match="found up to 2147514120 for class 0"):
        quantise(weights, np.zeros(1), sample)


@pytest.mark.parametrize(
    ("value", "found"),
    [(1e-40, "1.0e-40"), (-1e34, "1.0e+34"), (1e300, "1.0e+300"), (float("inf"), "inf"), (float("nan"), "nan")],
)
def test_weights_that_float32_cannot_scale(trained: Digits, value: float, found: str) -> None:
    weights = trained.weights.copy()
    weights[:, 7] = value
    expected = (
        "expected a largest weight of 0 or 3.0e-36 to 2.6e+33, and a bias that float32 can hold, "
        f"found {found} and {trained.bias[7]:.1e} for class 7: train with a smaller --lr"
    )
    with pytest.raises(ExportError, match=re.escape(expected)):
        quantise(weights, trained.bias, trained.train)


@pytest.mark.parametrize("value", [1e39, float("-inf"), float("nan")])
def test_a_bias_that_float32_cannot_hold(trained: Digits, value: float) -> None:
    bias = trained.bias.copy()
    bias[2] = value
    with pytest.raises(ExportError, match=re.escape(f" and {value:.1e} for class 2: train with a smaller --lr")):
        quantise(trained.weights, bias, trained.train)


@pytest.mark.parametrize(
    ("sample", "found"),
    [
        (np.zeros((3, 8, 8, 1), np.float32), "float32 [3, 8, 8, 1]"),
        (np.zeros((0, 8, 8, 1), np.uint8), "uint8 [0, 8, 8, 1]"),
        (np.zeros((3, 8, 8, 3), np.uint8), "uint8 [3, 8, 8, 3]"),
    ],
)
def test_samples_that_do_not_fit(trained: Digits, sample: NDArray[np.uint8], found: str) -> None:
    expected = (
        f"expected a sample of one or more uint8 images of 64 pixels, found {found}: "
        "pass raw training images of the model's size"
    )
    with pytest.raises(ExportError, match=re.escape(expected)):
        quantise(trained.weights, trained.bias, sample)

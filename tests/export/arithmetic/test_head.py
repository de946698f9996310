"""The bound for the head, given the features: against exact fractions and float32 sums in several orders."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from export.arithmetic.bound import PIXELS, Box, prove
from export.arithmetic.fold import prepare_head
from export.arithmetic.head import Head, fold_head
from runtime.decision import Decision
from tests.export.features.graphs import convolution, on_features
from trainer import Checkpoint

GENERATOR = np.random.default_rng(3)
SEEN = (GENERATOR.gamma(2.0, 3.0, (40, 12)) - 2).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> Checkpoint:
    found = on_features(convolution())
    centre, scale = SEEN.mean(axis=0), SEEN.std(axis=0)
    return replace(found, centre=centre, scale=scale, decision=Decision(temperature=1.5, bias=(0.25, 0.0, -1.0)))


@pytest.fixture(scope="module")
def head(model: Checkpoint) -> Head:
    assert model.features
    return prepare_head(model, model.features)


def exact(model: Checkpoint, x: NDArray[np.float32]) -> list[list[Fraction]]:
    """The trained model's logits as fractions: ((x − c) / s · W + b) / T + b′."""

    def fractions(values: Any) -> list[Fraction]:
        return [Fraction(float(value)) for value in values]

    temperature, bias = model.calibration()
    assert model.centre is not None
    assert model.scale is not None
    centre, scale, weights = fractions(model.centre), fractions(model.scale), [fractions(row) for row in model.weights]
    logits = []
    for row in x:
        z = [(value - c) / s for value, c, s in zip(fractions(row), centre, scale, strict=True)]
        sums = [
            sum((a * w[k] for a, w in zip(z, weights, strict=True)), Fraction(float(model.bias[k]))) for k in range(3)
        ]
        logits.append([part / Fraction(temperature) + Fraction(float(b)) for part, b in zip(sums, bias, strict=True)])
    return logits


def test_no_float32_sum_is_further_off_than_the_bound(model: Checkpoint, head: Head) -> None:
    proof = head.prove(model, SEEN)
    assert (proof.given, proof.images, proof.certain) == ("features", 40, 1.0)
    reach = 2 * np.abs(SEEN - head.centre).max(axis=0)
    corners = head.centre + reach * GENERATOR.choice(np.array([-1, 1], np.float32), (60, 12))
    x = np.concatenate([SEEN, corners.astype(np.float32)])
    largest = 0.0
    for order in [np.arange(12), np.arange(12)[::-1], *(GENERATOR.permutation(12) for _ in range(8))]:
        logits = np.tile(head.bias, (len(x), 1))
        for d in order:
            logits = logits + (x[:, d, None] - head.centre[d]) * head.weights[d]
        assert logits.dtype == np.float32
        found = np.array(
            [
                [float(abs(Fraction(float(a)) - b)) for a, b in zip(*rows, strict=True)]
                for rows in zip(logits, exact(model, x), strict=True)
            ]
        )
        largest = max(largest, found.max())
    assert proof.logit_error is not None
    assert proof.logit_error / 100 < largest < proof.logit_error


def test_the_numbers_are_those_of_the_checkpoint(model: Checkpoint, head: Head) -> None:
    expected = np.array([[float(value) for value in row] for row in exact(model, SEEN)])
    np.testing.assert_allclose(head.logits(SEEN), expected, atol=1e-5)
    weights, bias = fold_head(model)
    np.testing.assert_allclose((SEEN.astype(np.float64) - head.centre) @ weights + bias, expected, atol=1e-12)


def test_a_wrong_weight_is_in_the_bound(model: Checkpoint, head: Head) -> None:
    weights = head.weights.copy()
    weights[3, 1] += 0.5
    proof = replace(head, weights=weights).prove(model, SEEN)
    assert proof.logit_error is not None
    assert proof.logit_error >= 0.5 * 2 * float(np.abs(SEEN[:, 3] - head.centre[3]).max())


@pytest.mark.parametrize("scale", [2.0**30, 1e30])
def test_features_too_large_have_no_bound(scale: float, model: Checkpoint, head: Head) -> None:
    proof = head.prove(model, SEEN * np.float32(scale))
    assert (proof.logit_error, proof.certain) == (None, 0.0)


def test_a_box_of_pixels_is_one_of_equal_ranges() -> None:
    """The bound for pixels is the bound for inputs between 0 and 255 each."""
    model = replace(on_features(convolution()))
    assert model.features
    head = prepare_head(model, model.features)
    weights, bias = fold_head(model)
    images = GENERATOR.integers(0, 256, (20, 12), np.uint8)
    arithmetic = head.arithmetic()
    box = Box(np.zeros(12), np.full(12, 255.0))
    one, other = (prove(weights, bias, arithmetic, images, each) for each in (PIXELS, box))
    assert one.certain == other.certain
    assert one.logit_error == pytest.approx(other.logit_error, rel=1e-12)

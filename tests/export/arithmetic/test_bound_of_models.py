"""The proof on trained and damaged models, and where it has nothing to say."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest

from export.arithmetic import bound
from export.arithmetic.bound import Arithmetic, Proof, prove
from export.arithmetic.fold import fold
from tests.export.arithmetic.rounding import (
    as_float32,
    as_int8,
    logit_error_of,
)
from trainer import Checkpoint, Dataset


@pytest.mark.parametrize(("convert", "logit_error"), [(as_float32, 1e-3), (as_int8, 0.5)])
def test_it_says_something_about_digits(
    convert: Callable[..., Arithmetic], logit_error: float, checkpoint: Checkpoint, digits: Dataset
) -> None:
    weights, bias = fold(checkpoint)
    images = digits.test.images.numpy()
    proof = prove(weights, bias, convert(weights, bias), images)
    print(f"{convert.__name__}: {proof}")
    assert (proof.images, images.shape) == (360, (360, 8, 8, 1))
    assert 0 < logit_error_of(proof) < logit_error
    assert proof.certain >= 0.99


@pytest.mark.parametrize("convert", [as_float32, as_int8])
def test_a_damaged_weight_shows(convert: Callable[..., Arithmetic], checkpoint: Checkpoint, digits: Dataset) -> None:
    weights, bias = fold(checkpoint)
    pixels = digits.test.images.numpy().reshape(360, 64)
    sound = convert(weights, bias)
    damaged = dataclasses.replace(sound, weights=sound.weights.copy())
    damaged.weights[20, 3] += 0.05
    before, after = prove(weights, bias, sound, pixels), prove(weights, bias, damaged, pixels)
    same = (pixels @ weights + bias).argmax(axis=1) == (pixels @ damaged.weights + bias).argmax(axis=1)
    assert logit_error_of(after) > 10
    assert logit_error_of(after) > logit_error_of(before)
    assert after.certain <= same.mean() < before.certain


def test_a_moved_bias_shows() -> None:
    weights, bias = np.full((4, 2), 0.01), np.zeros(2)
    artefact = as_float32(weights, np.array([0.5, 0.0]))
    assert 0.5 < logit_error_of(prove(weights, bias, artefact, np.zeros((1, 4), np.uint8))) < 0.501


def test_a_trained_model_that_cannot_decide() -> None:
    """It is no use that the artefact can."""
    weights, bias = np.full((4, 2), 0.01), np.zeros(2)
    artefact = as_float32(weights, np.array([0.5, 0.0]))
    assert prove(weights, bias, artefact, np.full((3, 4), 9, np.uint8)).certain == 0


def test_swapped_classes_are_certain_of_nothing(checkpoint: Checkpoint, digits: Dataset) -> None:
    weights, bias = fold(checkpoint)
    artefact = as_float32(np.roll(weights, 1, axis=1), np.roll(bias, 1))
    assert prove(weights, bias, artefact, digits.test.images.numpy()).certain == 0


def test_two_equal_classes_are_certain_of_nothing() -> None:
    weights = np.ones((9, 2))
    proof = prove(weights, np.zeros(2), as_float32(weights, np.zeros(2)), np.full((5, 3, 3), 200, np.uint8))
    assert (proof.images, proof.certain) == (5, 0)


def test_blocks_of_images(checkpoint: Checkpoint, digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, bias = fold(checkpoint)
    damaged = as_float32(weights, bias + 3 * np.eye(10)[0])
    images = digits.test.images.numpy()
    whole = prove(weights, bias, damaged, images)
    monkeypatch.setattr(bound, "BLOCK", 7 * 64)
    assert prove(weights, bias, damaged, images) == whole
    assert 0 < whole.certain < 1


def test_no_images() -> None:
    weights, bias = np.ones((4, 2)), np.zeros(2)
    proof = prove(weights, bias, as_float32(weights, bias), np.zeros((0, 2, 2), np.uint8))
    assert (proof.images, proof.certain) == (0, 0)
    assert 0 < logit_error_of(proof) < 1e-3


@pytest.mark.parametrize(
    ("weight", "bias", "roundings"),
    [
        (1.0, 0.0, 2**24),
        (1e38, 0.0, 2),
        (math.nan, 0.0, 2),
        (0.0, math.inf, 2),
    ],
)
def test_where_nothing_can_be_said(weight: float, bias: float, roundings: int) -> None:
    """More terms than float32 can count, logits that it cannot hold, and no numbers at all."""
    weights, biases = np.array([[0.0, weight]]), np.array([0.0, bias])
    artefact = Arithmetic(weights=weights, bias=biases, roundings=roundings)
    proof = prove(weights, biases, artefact, np.full((3, 1), 255, np.uint8))
    assert proof == Proof(logit_error=None, images=3, certain=0)

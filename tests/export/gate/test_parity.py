"""What the gate computes, compares and says, on made-up numbers."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from export import ParityError
from export.arithmetic.bound import Arithmetic
from export.gate.parity import (
    Gate,
    Parity,
    answers,
    arithmetic_probabilities,
    compare,
    probes,
    reference_probabilities,
)
from runtime.image import ImageContract, Pixels
from trainer import Checkpoint
from trainer.decisions.deciding import softmax

IMAGE = ImageContract(height=2, width=3, color="RGB")
LABELS = ("cat", "dog")
NAMES = ("first", "second", "third", "fourth")
GATE = Gate(tolerance=0.125)
TABLE = np.array([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75], [1, 0]])


def pixels(count: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (count, *IMAGE.shape), np.uint8)


@pytest.fixture
def checkpoint() -> Checkpoint:
    """Every channel has its own statistics."""
    generator = np.random.default_rng(1)
    return Checkpoint(
        weights=generator.normal(size=(18, 2)).astype(np.float32),
        bias=np.array([0.5, -0.25], np.float32),
        mean=np.array([100, 120, 140], np.float32),
        std=np.array([50, 60, 70], np.float32),
        golden_images=pixels(3),
        golden_probabilities=np.full((3, 2), 0.5, np.float32),
        sample_images=pixels(0),
        labels=LABELS,
        image=IMAGE,
        provenance={},
    )


@pytest.mark.parametrize("scale", [1, 1e4])
def test_softmax_is_torchs(scale: float) -> None:
    logits = np.random.default_rng(0).normal(size=(5, 7)) * scale
    np.testing.assert_allclose(softmax(logits), torch.softmax(torch.from_numpy(logits), dim=1), rtol=1e-12, atol=1e-300)


def test_the_reference_is_torchs_model_in_double_precision(checkpoint: Checkpoint) -> None:
    images = torch.from_numpy(pixels(4))
    features = (images.double() - torch.tensor([100, 120, 140])) / torch.tensor([50, 60, 70])
    logits = features.flatten(1) @ torch.from_numpy(checkpoint.weights).double() + torch.tensor([0.5, -0.25])
    found = reference_probabilities(checkpoint, images.numpy())
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, torch.softmax(logits, dim=1), rtol=1e-12)


def test_an_artefacts_numbers_in_double_precision() -> None:
    weights = np.random.default_rng(2).normal(size=(18, 2)) / 100
    numbers = Arithmetic(weights=weights, bias=np.array([0.5, -0.25]), roundings=19)
    images = torch.from_numpy(pixels(4))
    logits = images.double().flatten(1) @ torch.from_numpy(weights) + torch.tensor([0.5, -0.25])
    found = arithmetic_probabilities(numbers, images.numpy())
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, torch.softmax(logits, dim=1), rtol=1e-12)


def test_probes_are_the_given_images_the_extremes_and_noise() -> None:
    golden, sample = pixels(2), pixels(3, seed=1)
    found = probes(IMAGE, golden, sample, random=1000)
    assert found.images.dtype == np.uint8
    np.testing.assert_array_equal(found.images[:2], golden)
    np.testing.assert_array_equal(found.images[2:5], sample)
    assert found.real == 5
    assert found.names == [
        *("golden example 0", "golden example 1", "training image 0", "training image 1", "training image 2"),
        *("the all-black image", "the all-white image"),
        *(f"random image {i}" for i in range(1000)),
    ]
    black, white, noise = found.images[5:6], found.images[6:7], found.images[7:]
    assert black.shape == white.shape == (1, 2, 3, 3)
    assert not black.any()
    assert (white == 255).all()
    assert noise.shape == (1000, 2, 3, 3)
    assert len(np.unique(noise)) == 256, "all values are among 18,000"
    np.testing.assert_array_equal(probes(IMAGE, golden, sample, random=1000).images, found.images)


def test_probes_without_training_images() -> None:
    found = probes(IMAGE, pixels(2))
    assert found.real == 2
    assert found.images.shape == (2 + 2 + 255, 2, 3, 3)
    assert found.names[2] == "the all-black image"
    assert len(found.names) == len(found.images)


def test_equal_tables() -> None:
    assert compare(TABLE, TABLE, NAMES, LABELS, GATE) == Parity(images=4, max_difference=0, label_flips=0)


def test_a_difference_of_just_the_tolerance_passes() -> None:
    found = TABLE.copy()
    found[2] += 0.125, -0.125
    assert compare(found, TABLE, NAMES, LABELS, GATE) == Parity(images=4, max_difference=0.125, label_flips=0)


def test_flips_within_the_agreement_pass() -> None:
    found = TABLE.copy()
    found[2] = 0.625, 0.375
    gate = Gate(tolerance=0.5, agreement=0.75)
    assert compare(found, TABLE, NAMES, LABELS, gate) == Parity(images=4, max_difference=0.375, label_flips=1)


Change = Callable[[NDArray[np.float64]], Any]


def far(found: NDArray[np.float64]) -> None:
    found[3] = 0.75, 0.25


def flip_two(found: NDArray[np.float64]) -> None:
    found[1], found[2] = (0.40625, 0.59375), (0.75, 0.25)


def swap(found: NDArray[np.float64]) -> None:
    found[:] = found[:, ::-1].copy()


def a_little(found: NDArray[np.float64]) -> None:
    found[2] += 0.0041, -0.0041


END = "the file was not kept"
REPORT = "train again with a higher --weight-decay, or report it with the checkpoint"
FLOAT = "export to onnx, which does not round the weights to 8 bits"


def looser(limit: str) -> str:
    return f"export with --tolerance {limit} (tolerance={limit} in Python) if probabilities may be off by that much"


@pytest.mark.parametrize(
    ("change", "gate", "whose", "message"),
    [
        (
            far,
            GATE,
            (),
            "expected probabilities within 0.125 of the trained model's and the same labels, "
            f"found a difference of 0.25 for fourth, label 'cat', and 0 labels that differ: {REPORT}; {END}",
        ),
        (
            flip_two,
            GATE,
            ("those of a larger batch",),
            "expected probabilities within 0.125 of those of a larger batch and the same labels, "
            "found a difference of 0.5 for third, label 'cat', and 1 labels that differ, first for third: "
            f"{REPORT}; {END}",
        ),
        (
            a_little,
            Gate(tolerance=0.001),
            (),
            "expected probabilities within 0.001 of the trained model's and the same labels, "
            "found a difference of 0.0041 for third, label 'cat', and 0 labels that differ: "
            f"{looser('0.005')}; {END}",
        ),
        (
            a_little,
            Gate(tolerance=0.001, advice="ask"),
            ("the trained model's", 0.3),
            "expected probabilities within 0.001 of the trained model's and the same labels, "
            f"found a difference of 0.0041 for third, label 'cat', and 0 labels that differ: ask; {END}",
        ),
        (
            flip_two,
            Gate(tolerance=0.75, agreement=0.75),
            (),
            "expected probabilities within 0.75 of the trained model's and 75% equal labels, "
            f"found a difference of 0.5 for third, label 'cat', and 2 labels that differ, first for second: "
            f"{FLOAT}; {END}",
        ),
        (
            flip_two,
            Gate(tolerance=0.25, agreement=0.5),
            (),
            "expected probabilities within 0.25 of the trained model's and 50% equal labels, "
            f"found a difference of 0.5 for third, label 'cat', and 2 labels that differ, first for second: "
            f"{FLOAT}, or {looser('0.5')}; {END}",
        ),
        (
            swap,
            Gate(tolerance=0.25, agreement=0.25),
            (),
            "expected probabilities within 0.25 of the trained model's and 25% equal labels, "
            "found a difference of 1 for fourth, label 'cat', and 3 labels that differ, first for first: "
            f"{FLOAT}; {END}",
        ),
    ],
)
def test_refused(change: Change, gate: Gate, whose: tuple[Any, ...], message: str) -> None:
    found = TABLE.copy()
    change(found)
    with pytest.raises(ParityError, match=f"^{re.escape(message)}$"):
        compare(found, TABLE, NAMES, LABELS, gate, *whose)


@pytest.mark.parametrize(("difference", "limit"), [(4.7e-5, 5e-5), (9.3e-5, 1e-4), (2e-4, 2e-4), (1e-5 + 1e-12, 2e-5)])
def test_the_tolerance_that_it_names_is_enough(difference: float, limit: float) -> None:
    found = TABLE.copy()
    found[2, 1] += difference
    with pytest.raises(ParityError, match=re.escape(looser(f"{limit:g}"))):
        compare(found, TABLE, NAMES, LABELS, Gate(tolerance=1e-5))
    compare(found, TABLE, NAMES, LABELS, Gate(tolerance=limit))


LEADING = np.array([[0.5, 0.5 + 1e-8], [0.5 + 1e-5, 0.5 - 1e-5]])


@pytest.mark.parametrize(("tolerance", "agreement", "flips"), [(2e-5, 1.0, 0), (2e-5, 0.0, 2)])
def test_a_label_of_a_tie_does_not_differ(tolerance: float, agreement: float, flips: int) -> None:
    """An approximation counts every label."""
    gate = Gate(tolerance=tolerance, agreement=agreement)
    parity = compare(LEADING[:, ::-1], LEADING, NAMES, LABELS, gate)
    assert (parity.images, parity.label_flips) == (2, flips)


def test_a_lead_above_twice_the_tolerance_is_no_tie() -> None:
    with pytest.raises(ParityError, match=r"and 1 labels that differ, first for second: "):
        compare(LEADING[:, ::-1], LEADING, NAMES, LABELS, Gate(tolerance=0.9e-5))


def test_ties_are_between_the_two_largest() -> None:
    expected = np.array([[0.1, 0.45, 0.45], [0.45, 0.1, 0.45]])
    found = expected[:, [0, 2, 1]]
    gate = Gate(tolerance=0.4)
    assert compare(expected, expected, NAMES, ("a", "b", "c"), gate).label_flips == 0
    assert compare(found, expected, NAMES, ("a", "b", "c"), gate).label_flips == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    found = TABLE.copy()
    found[2:, 1] = value
    message = "expected finite probabilities, found NaN or infinity for 2 images, first for third"
    with pytest.raises(ParityError, match=re.escape(f"{message}: {REPORT}; {END}")):
        compare(found, TABLE, NAMES, LABELS, GATE)


def test_another_number_of_images_is_refused() -> None:
    with pytest.raises(
        ParityError, match=r"^expected probabilities \[4, 2\], found \[1, 2\]: .*; the file was not kept$"
    ):
        compare(TABLE[:1], TABLE, NAMES, LABELS, GATE)


def test_a_model_that_answers_nan_is_not_met() -> None:
    with pytest.raises(ParityError, match="found a difference of nan for first"):
        compare(TABLE, np.full_like(TABLE, np.nan), NAMES, LABELS, GATE)


def test_answers_come_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.gate.parity.BLOCK", 4)
    images = np.arange(10, dtype=np.uint8)[:, None, None, None]
    seen: list[int] = []

    def answer(block: NDArray[np.uint8]) -> NDArray[np.float64]:
        seen.append(len(block))
        return block[:, :, 0, 0].astype(np.float64)

    np.testing.assert_array_equal(answers(answer, images)[:, 0], np.arange(10))
    assert seen == [4, 4, 2]
    assert answers(answer, images[:0]).shape == (0, 1)

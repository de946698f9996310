"""The parity gate on made-up numbers, in milliseconds: what it computes, lets through, and says of the rest."""

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
    Probabilities,
    Probes,
    arithmetic_probabilities,
    check_parity,
    compare,
    probes,
    reference_probabilities,
    softmax,
)
from runtime.artefact import Golden, Metadata
from runtime.image import ImageContract, Pixels
from trainer import Checkpoint

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


def flip(found: NDArray[np.float64]) -> None:
    found[1] = 0.46875, 0.53125


def flip_two(found: NDArray[np.float64]) -> None:
    found[1], found[2] = (0.40625, 0.59375), (0.75, 0.25)


END = "the file was not kept"


@pytest.mark.parametrize(
    ("change", "gate", "whose", "message"),
    [
        (
            far,
            GATE,
            (),
            "expected probabilities within 0.125 of the trained model's and the same labels, "
            f"found a difference of 0.25 for fourth, label 'cat', and 0 labels that differ: {END}",
        ),
        (
            flip,
            GATE,
            ("those of a larger batch",),
            "expected probabilities within 0.125 of those of a larger batch and the same labels, "
            f"found a difference of 0.0312 for second, label 'cat', and 1 labels that differ, first for second: {END}",
        ),
        (
            flip_two,
            Gate(tolerance=0.75, agreement=0.75),
            (),
            "expected probabilities within 0.75 of the trained model's and 75% equal labels, "
            f"found a difference of 0.5 for third, label 'cat', and 2 labels that differ, first for second: {END}",
        ),
    ],
)
def test_refused(change: Change, gate: Gate, whose: tuple[str, ...], message: str) -> None:
    found = TABLE.copy()
    change(found)
    with pytest.raises(ParityError, match=f"^{re.escape(message)}$"):
        compare(found, TABLE, NAMES, LABELS, gate, *whose)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    found = TABLE.copy()
    found[3, 1] = value
    with pytest.raises(ParityError, match=r"^expected finite probabilities \[4, 2\], found \[4, 2\] or NaN$"):
        compare(found, TABLE, NAMES, LABELS, GATE)


def test_another_number_of_images_is_refused() -> None:
    with pytest.raises(ParityError, match=r"^expected finite probabilities \[4, 2\], found \[1, 2\] or NaN$"):
        compare(TABLE[:1], TABLE, NAMES, LABELS, GATE)


def test_a_model_that_answers_nan_is_not_met() -> None:
    with pytest.raises(ParityError, match="found a difference of nan for first"):
        compare(TABLE, np.full_like(TABLE, np.nan), NAMES, LABELS, GATE)


PROBES = probes(IMAGE, pixels(3), pixels(2, seed=1), random=2)


def answer(images: Pixels) -> Probabilities:
    """A model's probabilities: the brighter, the more of a dog."""
    bright = images.reshape(len(images), -1).astype(np.float64).mean(axis=1) / 255
    return np.stack([1 - bright, bright], axis=1)


def off_by(amount: float, at: Callable[[Pixels], bool]) -> Callable[[Pixels], Probabilities]:
    """The same model, with another probability where `at` holds for an image or a batch."""

    def wrong(images: Pixels) -> Probabilities:
        return answer(images) + (amount if at(images) else 0)

    return wrong


def metadata(golden: Probabilities | None = None) -> Metadata:
    images = PROBES.images[:3]
    probabilities = (answer(images) if golden is None else golden).astype(np.float32)
    return Metadata(LABELS, IMAGE, None, Golden(images, probabilities, tolerance=1e-5), {"data": {"name": "pets"}})


class Opened:
    """An artefact opened again."""

    def __init__(self, probabilities: Callable[[Pixels], Probabilities], metadata: Metadata) -> None:
        self.probabilities, self.metadata = probabilities, metadata


def check(
    found: Callable[[Pixels], Probabilities] = answer,
    trained: Callable[[Pixels], Probabilities] = answer,
    gate: Gate = GATE,
    exact: Callable[[Pixels], Probabilities] | None = None,
    read: Metadata | None = None,
    golden: Probabilities | None = None,
    images: Probes = PROBES,
) -> Parity:
    written = metadata(golden)
    return check_parity(Opened(found, read or written), written, images, trained, gate, exact)


def one(images: Pixels) -> bool:
    return len(images) == 1


def many(images: Pixels) -> bool:
    return len(images) > 1


def several_shifted(by: float) -> Callable[[Pixels], Probabilities]:
    """The same model, where only the all-white image, which no data set holds, is answered otherwise."""

    def wrong(images: Pixels) -> Probabilities:
        white = (images == 255).all(axis=(1, 2, 3))
        found: Probabilities = answer(images) - by * white[:, None]
        return found

    return wrong


def test_the_right_artefact_passes() -> None:
    parity = check()
    assert (parity.images, parity.max_difference, parity.label_flips) == (9, 0, 0)


def test_a_difference_within_the_gate_is_reported() -> None:
    assert check(several_shifted(0.0625)) == Parity(images=9, max_difference=0.0625, label_flips=0)


def test_a_rough_gate_looks_at_real_images_alone() -> None:
    rough = Gate(tolerance=0.125, agreement=0.99)
    assert check(several_shifted(0.5), gate=rough).images == 5
    with pytest.raises(ParityError, match=r"^expected .* of the trained model's .* for the all-white image"):
        check(several_shifted(0.5))


def test_metadata_that_reads_back_otherwise() -> None:
    other = metadata()._replace(provenance={})
    with pytest.raises(
        ParityError,
        match=r"^expected the metadata to read back as written, found other metadata: the file was not kept$",
    ):
        check(read=other)


def test_golden_examples_of_another_model() -> None:
    with pytest.raises(ParityError, match=r"^expected probabilities within 0\.125 of the trained model's .* golden"):
        check(golden=answer(PROBES.images[:3]) + 0.25)


def test_a_trained_model_that_answers_otherwise() -> None:
    with pytest.raises(ParityError, match=r"^expected probabilities within 0\.125 of the trained model's"):
        check(trained=off_by(0.25, many))


def test_one_image_answered_otherwise_than_many() -> None:
    with pytest.raises(ParityError, match=r"^expected probabilities within 0\.125 of those of a larger batch and"):
        check(off_by(0.25, one))
    assert check(off_by(0.0625, one)).images == 9


def test_its_own_numbers_are_met_within_1e_5_however_rough_the_gate() -> None:
    rough = Gate(tolerance=0.5, agreement=0.9)
    assert check(gate=rough, exact=answer).images == 5
    with pytest.raises(ParityError, match=r"^expected probabilities within 1e-05 of its own numbers' and the same"):
        check(several_shifted(0.0625), gate=rough, exact=answer)
    with pytest.raises(ParityError, match=r"^expected probabilities within 1e-05 of those of a larger batch and the"):
        check(off_by(0.0625, one), gate=rough, exact=answer)

"""An opened artefact against a model, both made up: what the gate lets through and what it refuses."""

import re
from collections.abc import Callable

import numpy as np
import pytest

from export import ParityError
from export.gate.parity import (
    Gate,
    Parity,
    Probabilities,
    Probes,
    check_parity,
    probes,
)
from runtime.artefact import Metadata
from runtime.golden import Golden
from runtime.image import ImageContract, Pixels

IMAGE = ImageContract(height=2, width=3, color="RGB")
LABELS = ("cat", "dog")
GATE = Gate(tolerance=0.125)


def pixels(count: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (count, *IMAGE.shape), np.uint8)


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
        self.embed = probabilities  # which no artefact on pixels has


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


@pytest.mark.parametrize(
    ("difference", "gate", "exact"),
    [
        (0.004, Gate(tolerance=0.5, agreement=0.9), answer),
        (0.0625, Gate(tolerance=1e-3, advice="export to onnx"), None),
    ],
)
def test_no_tolerance_is_named_where_none_helps(
    difference: float, gate: Gate, exact: Callable[[Pixels], Probabilities] | None
) -> None:
    """An approximation has to be within 1e-5 of its own numbers; and no rounding explains a large difference."""
    for at in (one, many):
        with pytest.raises(ParityError, match=r": export to onnx.*; the file was not kept$") as raised:
            check(off_by(difference, at), gate=gate, exact=exact)
        assert "--tolerance" not in str(raised.value)


@pytest.mark.parametrize("exact", [None, answer])
def test_the_tolerance_that_it_names_is_enough_for_every_comparison(
    exact: Callable[[Pixels], Probabilities] | None,
) -> None:
    """One image answered otherwise than many fails first, and white, which is further off, after it."""

    def wrong(images: Pixels) -> Probabilities:
        found: Probabilities = several_shifted(0.004)(images) + (0.001 if one(images) else 0)
        return found

    with pytest.raises(ParityError, match=r" --tolerance (\S+) ") as raised:
        check(wrong, gate=Gate(tolerance=1e-5), exact=exact)
    (named,) = re.findall(r" --tolerance (\S+) ", str(raised.value))
    assert check(wrong, gate=Gate(tolerance=float(named)), exact=exact).images == 9

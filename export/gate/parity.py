"""Parity: an artefact's probabilities against the trained model's, on the same images."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.artefact import Metadata
from runtime.decided import accepted
from runtime.decision import Threshold
from runtime.image import ImageContract, Pixels
from trainer.checkpoint import Checkpoint
from trainer.decisions.deciding import softmax

from ..arithmetic.bound import Arithmetic
from ..errors import ParityError
from ..features.running import features_of

RANDOM_IMAGES = 255
EXACT = 1e-5  # largest difference of an approximation from what its own numbers give
ROUNDING = 0.01  # largest difference that float32 may explain: beyond it, a larger tolerance is no advice
BLOCK = 1024  # images in a batch

FLOAT = "export to onnx, which does not round the weights to 8 bits"
MODEL = "the trained model's"

Probabilities = NDArray[np.floating]
Answer = Callable[[Pixels], Probabilities]


class Artefact(Protocol):
    """An artefact, opened by what runs its format."""

    @property
    def metadata(self) -> Metadata:
        """The file's metadata."""
        ...

    def probabilities(self, pixels: Pixels) -> Probabilities:
        """uint8 [N, H, W, C] → float32 [N, K]."""
        ...

    def embed(self, images: Pixels, /) -> Probabilities:
        """uint8 [N, H, W, C] → float32 [N, D], where the artefact carries features."""
        ...


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The limits that an artefact has to keep to.

    tolerance: largest difference in probability allowed.
    agreement: smallest share of equal labels, 0-1. Below 1 the artefact approximates the model on real images, and is
        compared on these alone. At 1, labels are equal too where the model's two largest probabilities are within twice
        the tolerance of each other: either may come first.
    advice: what to do where a larger tolerance would not help, for messages.
    thresholds: by which answers are accepted. Which ones are has to agree as labels do; at 1 also where a probability
        is within the tolerance of its threshold, or the label may be another.
    """

    tolerance: float
    agreement: float = 1.0
    thresholds: tuple[Threshold, ...] = ()
    advice: str = "train again with a higher --weight-decay, or report it with the checkpoint"


@dataclass(frozen=True, kw_only=True)
class Parity:
    """The result of a comparison.

    images: number of images compared.
    max_difference: largest difference in probability.
    label_flips: number of labels that differ, as the gate counts them.
    decision_flips: number of answers that one of the two accepts and the other does not, likewise.
    """

    images: int
    max_difference: float
    label_flips: int
    decision_flips: int = 0


@dataclass(frozen=True, kw_only=True)
class Probes:
    """Images to compare on.

    images: uint8 [N, H, W, C].
    names: one for each image, for messages.
    real: number of images from the data set; they come first.
    """

    images: Pixels
    names: list[str]
    real: int


def reference_probabilities(checkpoint: Checkpoint, images: Pixels) -> NDArray[np.float64]:
    """Compute the trained model's probabilities in float64, without torch and without folding.

    images: uint8 [N, H, W, C]. The features of a graph are those that onnxruntime computes, in float32.
    Returns float64 [N, K].
    """
    return regression(checkpoint, features_of(checkpoint.features, images) if checkpoint.features else images)


def regression(checkpoint: Checkpoint, features: NDArray[np.generic]) -> NDArray[np.float64]:
    """Compute the trained probabilities of pixels or features, neither centred nor scaled yet: [N, ...] → [N, K]."""
    temperature, bias = checkpoint.calibration()
    return softmax(checkpoint.logits(features) / temperature + bias)


def arithmetic_probabilities(arithmetic: Arithmetic, images: Pixels) -> NDArray[np.float64]:
    """Compute an artefact's probabilities from its own numbers, in float64: uint8 [N, H, W, C] → float64 [N, K]."""
    return softmax(images.reshape(len(images), -1).astype(np.float64) @ arithmetic.weights + arithmetic.bias)


def probes(
    image: ImageContract, golden: Pixels, sample: Pixels | None = None, *, random: int = RANDOM_IMAGES
) -> Probes:
    """Return images to compare on: golden examples, training images, black, white and random images.

    image: the model's image size.
    golden: golden examples, uint8 [G, H, W, C].
    sample: training images, uint8 [S, H, W, C]; None for none.
    random: number of random images.
    """
    sample = golden[:0] if sample is None else sample
    black, white = np.zeros((1, *image.shape), np.uint8), np.full((1, *image.shape), 255, np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (random, *image.shape), np.uint8)
    names = [
        *(f"golden example {i}" for i in range(len(golden))),
        *(f"training image {i}" for i in range(len(sample))),
        "the all-black image",
        "the all-white image",
        *(f"random image {i}" for i in range(len(noise))),
    ]
    return Probes(
        images=np.concatenate([golden, sample, black, white, noise]), names=names, real=len(golden) + len(sample)
    )


def check_parity(
    artefact: Artefact, metadata: Metadata, probes: Probes, trained: Answer, gate: Gate, exact: Answer | None = None
) -> Parity:
    """Compare an opened artefact with the trained model, at batch sizes 1 and many.

    metadata: what was written to the file.
    trained: the trained model.
    exact: the probabilities from the artefact's own numbers. An artefact that approximates the model has to be within
        1e-5 of them, whatever the gate's tolerance.
    Raises ParityError where probabilities or labels differ by more than the gate allows, or where the metadata reads
    back differently.
    """
    if artefact.metadata.to_json() != metadata.to_json():
        raise ParityError("expected the metadata to read back as written, found other metadata: the file was not kept")
    golden, count = metadata.golden, len(metadata.golden.images)
    found = answers(artefact.probabilities, probes.images)
    singles = np.concatenate([artefact.probabilities(image[None]) for image in golden.images])
    strict = Gate(tolerance=EXACT, advice=FLOAT) if exact and gate.agreement < 1 else gate
    held = len(found) if gate.agreement == 1 else probes.real
    comparisons = [
        *([(found, answers(exact, probes.images), strict, "its own numbers'")] if exact else []),
        (singles, found[:count], strict, "those of a larger batch"),
        (found[:count], golden.probabilities, gate, MODEL),
        (found[:held], answers(trained, probes.images[:held]), gate, MODEL),
    ]
    largest = max(
        float(_differences(one, other, probes.names, limits).max())
        for one, other, limits, _ in comparisons
        if limits is gate
    )
    for one, other, limits, whose in comparisons:
        adjustable = largest if limits is gate else math.inf
        parity = compare(one, other, probes.names, metadata.labels, limits, whose, adjustable)
    return parity


def answers(answer: Answer, images: Pixels) -> Probabilities:
    """Compute the probabilities of any number of images in batches: uint8 [N, H, W, C] → [N, K]."""
    return np.concatenate([answer(images[start : start + BLOCK]) for start in range(0, max(1, len(images)), BLOCK)])


def compare(
    found: Probabilities,
    expected: Probabilities,
    names: Sequence[str],
    labels: tuple[str, ...],
    gate: Gate,
    whose: str = MODEL,
    largest: float = 0.0,
) -> Parity:
    """Compare probabilities with the expected ones, both [N, K].

    names: N image names, for the message.
    labels: K class names, for the message.
    whose: where the expected probabilities come from, for the message.
    largest: largest difference in other comparisons of the same gate, for the tolerance that the message names; inf if
        the tolerance cannot be chosen.
    Raises ParityError where they differ by more than the gate allows.
    """
    differences = _differences(found, expected, names, gate)
    image, label = divmod(int(differences.argmax()), len(labels))
    other = found.argmax(axis=1) != expected.argmax(axis=1)
    if gate.agreement == 1:
        other &= _lead(expected) > 2 * gate.tolerance
    flips = np.flatnonzero(other)
    difference = float(differences[image, label])
    decided = np.flatnonzero(_decided_otherwise(found, expected, labels, gate))
    enough = max(len(flips), len(decided)) <= (1 - gate.agreement) * len(found)
    if not difference <= gate.tolerance or not enough:
        flipped = f", first for {names[flips[0]]}" if len(flips) else ""
        same = "the same labels" if gate.agreement == 1 else f"{gate.agreement:.0%} equal labels"
        raise ParityError(
            f"expected probabilities within {gate.tolerance:g} of {whose} and {same}, "
            f"found a difference of {difference:.3g} for {names[image]}, label {labels[label]!r}, and {len(flips)} "
            f"labels that differ{flipped}{_decisions(decided, names)}: "
            f"{_remedy(gate, max(difference, largest), enough)}; the file was not kept"
        )
    return Parity(images=len(found), max_difference=difference, label_flips=len(flips), decision_flips=len(decided))


def _decided_otherwise(
    found: Probabilities, expected: Probabilities, labels: tuple[str, ...], gate: Gate
) -> NDArray[np.bool_]:
    """Say which answers one of the two accepts and the other does not: [N]."""
    one, another = (accepted(probabilities, gate.thresholds, labels) for probabilities in (found, expected))
    other: NDArray[np.bool_] = one != another
    if gate.agreement < 1:
        return other
    clear: NDArray[np.bool_] = _lead(expected) > 2 * gate.tolerance
    for threshold in gate.thresholds:
        probability = expected.max(axis=1) if threshold.label is None else expected[:, labels.index(threshold.label)]
        clear &= np.abs(probability - threshold.probability) > gate.tolerance
    return other & clear


def _decisions(flips: NDArray[np.intp], names: Sequence[str]) -> str:
    return f", and {len(flips)} decisions, first for {names[flips[0]]}" if len(flips) else ""


def _differences(found: Probabilities, expected: Probabilities, names: Sequence[str], gate: Gate) -> Probabilities:
    """Return |found − expected|, [N, K]. Raises ParityError for another shape, and where `found` is not finite."""
    if found.shape != expected.shape:
        raise ParityError(
            f"expected probabilities {list(expected.shape)}, found {list(found.shape)}: {gate.advice}; "
            "the file was not kept"
        )
    wrong = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if len(wrong):
        raise ParityError(
            f"expected finite probabilities, found NaN or infinity for {len(wrong)} images, first for "
            f"{names[wrong[0]]}: {gate.advice}; the file was not kept"
        )
    result: Probabilities = np.abs(found - expected)
    return result


def _lead(probabilities: Probabilities) -> NDArray[np.floating]:
    """Return by how much the largest probability leads the second largest: [N, K] → [N]."""
    second, first = np.partition(probabilities, -2, axis=1)[:, -2:].T
    result: NDArray[np.floating] = first - second
    return result


def _remedy(gate: Gate, largest: float, enough: bool) -> str:
    """Say what to do about a difference of `largest`, with `enough` equal labels."""
    limit = _rounded_up(largest) if 0 < largest < 1 else 1.0
    looser = (
        f"export with --tolerance {limit:g} (tolerance={limit:g} in Python) if probabilities may be off by that much"
    )
    if gate.agreement == 1:
        return looser if largest <= ROUNDING else gate.advice
    return f"{FLOAT}, or {looser}" if enough and limit < 1 else FLOAT


def _rounded_up(number: float) -> float:
    """Return the next number with one significant digit."""
    digit = 10.0 ** math.floor(math.log10(number))
    return math.ceil(number / digit) * digit

"""Parity: an artefact's probabilities against the trained model's, on the same images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.artefact import Metadata
from runtime.image import ImageContract, Pixels
from trainer.checkpoint import Checkpoint

from ..arithmetic.bound import Arithmetic
from ..errors import ParityError

RANDOM_IMAGES = 255
EXACT = 1e-5
BLOCK = 1024

Probabilities = NDArray[np.floating]
Answer = Callable[[Pixels], Probabilities]


class Artefact(Protocol):
    """An artefact opened again, by whatever runs its format."""

    @property
    def metadata(self) -> Metadata:
        """What the file carries beside its graph."""
        ...

    def probabilities(self, pixels: Pixels) -> Probabilities:
        """uint8 [N, H, W, C] → float32 [N, K]."""
        ...


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What lets an artefact through: the largest difference in probability, and the least share of equal labels.

    Where the agreement is less than 1, the artefact is an approximation made for real images, and held to it on these.
    """

    tolerance: float
    agreement: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Parity:
    """images: how many were compared. max_difference: in probability. label_flips: how many labels differ."""

    images: int
    max_difference: float
    label_flips: int


@dataclass(frozen=True, kw_only=True)
class Probes:
    """Images that show a difference if there is one, with a name for each, the first `real` of them from the data."""

    images: Pixels
    names: list[str]
    real: int


def reference_probabilities(checkpoint: Checkpoint, images: Pixels) -> NDArray[np.float64]:
    """Compute the trained model's probabilities from the checkpoint alone: uint8 [N, H, W, C] → float64 [N, K].

    Independent of torch, of the folding, and of float32's rounding.
    """
    features = ((images.astype(np.float64) - checkpoint.mean) / checkpoint.std).reshape(len(images), -1)
    return softmax(features @ checkpoint.weights.astype(np.float64) + checkpoint.bias)


def arithmetic_probabilities(arithmetic: Arithmetic, images: Pixels) -> NDArray[np.float64]:
    """Compute what an artefact with these numbers should answer: uint8 [N, H, W, C] → float64 [N, K]."""
    return softmax(images.reshape(len(images), -1).astype(np.float64) @ arithmetic.weights + arithmetic.bias)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """exp(z) / Σ exp(z) along each row: [N, K] → [N, K]."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return result


def probes(
    image: ImageContract, golden: Pixels, sample: Pixels | None = None, *, random: int = RANDOM_IMAGES
) -> Probes:
    """Golden examples, training images if there are, black, white and random images of the model's size.

    random: how many of these.
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

    metadata: what the file should carry. trained: the trained model. exact: what the artefact's own numbers give, which
    it has to meet within 1e-5 on every image, however rough the gate. Raises ParityError where a probability or the
    labels differ by more than the gate lets through, or where the metadata reads back otherwise.
    """
    if artefact.metadata.to_json() != metadata.to_json():
        raise ParityError("expected the metadata to read back as written, found another: the file was not kept")
    golden, labels, names = metadata.golden, metadata.labels, probes.names
    count = len(golden.images)
    found = answers(artefact.probabilities, probes.images)
    singles = np.concatenate([artefact.probabilities(image[None]) for image in golden.images])
    strict = Gate(tolerance=EXACT) if exact else gate
    if exact:
        compare(found, answers(exact, probes.images), names, labels, strict, "its own numbers'")
    compare(singles, found[:count], names, labels, strict, "those of a larger batch")
    compare(found[:count], golden.probabilities, names, labels, gate)
    held = len(names) if gate.agreement == 1 else probes.real
    return compare(found[:held], answers(trained, probes.images[:held]), names, labels, gate)


def answers(answer: Answer, images: Pixels) -> Probabilities:
    """Answer any number of images in blocks of bounded memory: uint8 [N, H, W, C] → [N, K]."""
    return np.concatenate([answer(images[start : start + BLOCK]) for start in range(0, max(1, len(images)), BLOCK)])


def compare(
    found: Probabilities,
    expected: Probabilities,
    names: Sequence[str],
    labels: tuple[str, ...],
    gate: Gate,
    whose: str = "the trained model's",
) -> Parity:
    """Compare two [N, K] tables of probabilities. names: of the images, for the message. Raises ParityError."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        raise ParityError(f"expected finite probabilities {list(expected.shape)}, found {list(found.shape)} or NaN")
    differences = np.abs(found - expected)
    image, label = divmod(int(differences.argmax()), len(labels))
    flips = np.flatnonzero(found.argmax(axis=1) != expected.argmax(axis=1))
    largest = float(differences[image, label])
    if not largest <= gate.tolerance or len(flips) > (1 - gate.agreement) * len(found):
        flipped = f", first for {names[flips[0]]}" if len(flips) else ""
        same = "the same labels" if gate.agreement == 1 else f"{gate.agreement:.0%} equal labels"
        raise ParityError(
            f"expected probabilities within {gate.tolerance:g} of {whose} and {same}, "
            f"found a difference of {largest:.3g} for {names[image]}, label {labels[label]!r}, and {len(flips)} labels "
            f"that differ{flipped}: the file was not kept"
        )
    return Parity(images=len(found), max_difference=largest, label_flips=len(flips))

"""Parity: an artefact's probabilities against the trained model's, on the same images."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.artefact import Metadata
from runtime.image import Pixels
from trainer.checkpoint import Checkpoint

from .errors import ParityError

TOLERANCE = 1e-5
RANDOM_IMAGES = 255


class Artefact(Protocol):
    """An artefact opened again, by whatever runs its format."""

    @property
    def metadata(self) -> Metadata:
        """What the file carries beside its graph."""
        ...

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """uint8 [N, H, W, C] → float32 [N, K]."""
        ...


@dataclass(frozen=True, kw_only=True)
class Parity:
    """images: how many were compared. max_difference: in probability. label_flips: how many labels differ."""

    images: int
    max_difference: float
    label_flips: int


def reference_probabilities(checkpoint: Checkpoint, images: Pixels) -> NDArray[np.float64]:
    """Compute the trained model's probabilities from the checkpoint alone: uint8 [N, H, W, C] → float64 [N, K].

    Independent of torch, of the folding, and of float32's rounding.
    """
    features = ((images.astype(np.float64) - checkpoint.mean) / checkpoint.std).reshape(len(images), -1)
    logits = features @ checkpoint.weights.astype(np.float64) + checkpoint.bias
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return result


def probe_images(checkpoint: Checkpoint) -> tuple[Pixels, list[str]]:
    """Images that show a difference if there is one, with a name for each: golden, black, white, random."""
    shape = checkpoint.image.shape
    golden = checkpoint.golden_images
    black, white = np.zeros((1, *shape), np.uint8), np.full((1, *shape), 255, np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (RANDOM_IMAGES, *shape), np.uint8)
    names = [f"golden example {i}" for i in range(len(golden))] + ["the all-black image", "the all-white image"]
    return np.concatenate([golden, black, white, noise]), names + [f"random image {i}" for i in range(len(noise))]


def check_parity(artefact: Artefact, metadata: Metadata, checkpoint: Checkpoint, tolerance: float) -> Parity:
    """Compare an opened artefact with the trained model, at batch sizes 1 and many.

    metadata: what the file should carry. tolerance: the largest difference in probability that passes. Raises
    ParityError where it is exceeded, where any label differs, or where the metadata reads back otherwise.
    """
    if artefact.metadata.to_json() != metadata.to_json():
        raise ParityError("expected the metadata to read back as written, found another: the file was not kept")
    images, names = probe_images(checkpoint)
    expected = reference_probabilities(checkpoint, images)
    golden = len(checkpoint.golden_images)
    singles = golden + 2
    pairs: list[tuple[NDArray[np.floating], NDArray[np.floating]]] = [
        (artefact.probabilities(images), expected),
        (artefact.probabilities(images[:golden]), checkpoint.golden_probabilities),
        (np.concatenate([artefact.probabilities(image[None]) for image in images[:singles]]), expected[:singles]),
    ]
    checks = [compare(found, wanted, names, checkpoint.labels, tolerance) for found, wanted in pairs]
    return Parity(
        images=len(images),
        max_difference=max(check.max_difference for check in checks),
        label_flips=max(check.label_flips for check in checks),
    )


def compare(
    found: NDArray[np.floating],
    expected: NDArray[np.floating],
    names: list[str],
    labels: tuple[str, ...],
    tolerance: float,
) -> Parity:
    """Compare two [N, K] tables of probabilities. names: of the images, for the message. Raises ParityError."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        raise ParityError(f"expected finite probabilities {list(expected.shape)}, found {list(found.shape)} or NaN")
    differences = np.abs(found - expected)
    image, label = np.unravel_index(int(differences.argmax()), differences.shape)
    flips = np.flatnonzero(found.argmax(axis=1) != expected.argmax(axis=1))
    largest = float(differences[image, label])
    if largest > tolerance or len(flips):
        flipped = f", first for {names[flips[0]]}" if len(flips) else ""
        raise ParityError(
            f"expected probabilities within {tolerance:g} of the trained model's and the same labels, "
            f"found a difference of {largest:.3g} for {names[image]}, label {labels[label]!r}, and {len(flips)} labels "
            f"that differ{flipped}: the file was not kept"
        )
    return Parity(images=len(found), max_difference=largest, label_flips=len(flips))

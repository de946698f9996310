"""Parity of an artefact on features: the head given its features, and the whole graph on real images."""

import numpy as np
from numpy.typing import NDArray

from runtime.artefact import Metadata
from trainer.checkpoint import Checkpoint
from trainer.decisions.deciding import softmax

from ..arithmetic.head import Head
from ..errors import ParityError
from .parity import (
    EXACT,
    FLOAT,
    MODEL,
    Artefact,
    Gate,
    Parity,
    Probabilities,
    answers,
    compare,
    probes,
    reference_probabilities,
    regression,
)

REAL_IMAGES, RANDOM_IMAGES = 8, 6  # for the head alone: a deep network is slow, and on noise says little


def check_features(artefact: Artefact, metadata: Metadata, checkpoint: Checkpoint, head: Head, gate: Gate) -> Parity:
    """Compare an opened artefact with the trained model.

    The whole graph is compared on the golden and the training images: with the trained head on the float32 features,
    and in float formats with all of it in float64, on as many as a bounded time allows. The head is compared with its
    own numbers, given the artefact's features, on some of these and on black, white and random images.

    metadata: what was written to the file.
    head: the artefact's.
    Raises ParityError where probabilities or labels differ by more than the gate allows, or where the metadata reads
    back differently.
    """
    if artefact.metadata.to_json() != metadata.to_json():
        raise ParityError("expected the metadata to read back as written, found other metadata: the file was not kept")
    exact = Gate(tolerance=EXACT, advice=FLOAT if gate.agreement < 1 else gate.advice)
    strict = exact if gate.agreement < 1 else gate
    golden = checkpoint.golden_images
    images = probes(checkpoint.image, golden, checkpoint.sample_images, random=RANDOM_IMAGES)
    real = images.images[: images.real]
    found = answers(artefact.probabilities, images.images)

    def check(found: Probabilities, expected: Probabilities, names: list[str], limits: Gate, whose: str) -> Parity:
        return compare(found, expected, names, metadata.labels, limits, whose)

    some = np.r_[: min(REAL_IMAGES, images.real), images.real : len(found)]
    own = softmax(head.logits(artefact.embed(images.images[some])))
    check(found[some], own, [images.names[place] for place in some], exact, "its own numbers'")
    singles = np.concatenate([artefact.probabilities(image[None]) for image in metadata.golden.images])
    check(singles, found[: len(singles)], images.names, strict, "those of a larger batch")
    check(found[: len(singles)], metadata.golden.probabilities, images.names, gate, MODEL)
    parity = check(found[: len(real)], reference_probabilities(checkpoint, real), images.names, gate, MODEL)
    if gate.agreement < 1 or not checkpoint.features:
        return parity
    from .float64 import features_in_float64  # here, since it imports onnx

    order = _alternating(len(golden), images.real)
    features = features_in_float64(checkpoint.features, real[order])
    order = order[: len(features)]
    names = [images.names[place] for place in order]
    return check(found[order], regression(checkpoint, features), names, gate, f"{MODEL}, in float64")


def _alternating(golden: int, real: int) -> NDArray[np.intp]:
    """Return positions of golden examples and training images in turn, so that any number of them has both."""
    turns = np.concatenate([np.arange(golden) * 2, np.arange(real - golden) * 2 + 1])
    return turns.argsort(kind="stable")

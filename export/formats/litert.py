"""LiteRT in float32, for Android and iOS: a flatbuffer, written operator by operator. Needs no TensorFlow."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime import load
from runtime.artefact import EXTRA_FILE, INPUT, OUTPUT, SEAL, Metadata, dumps
from runtime.entries import PREFIX
from runtime.seal import EMPTY_SEAL, seal
from trainer.checkpoint import Checkpoint

from ..arithmetic import fold
from ..arithmetic.centre import Centred
from ..arithmetic.fold import Folded, check_pixels
from ..gate.parity import Artefact
from ..litert.graph import Graph
from ..litert.labels import METADATA, model_metadata, with_labels
from .compatibility import Target

__all__ = ["finish", "open_artefact", "prepare", "write"]


def prepare(checkpoint: Checkpoint) -> Folded | Centred:
    """Fold, and round to float32, with the rounding of sums in which all products are added one by one.

    Raises ExportError for a model on features.
    """
    check_pixels(checkpoint, "LiteRT")
    return fold.prepare(checkpoint, block=checkpoint.golden_images[0].size)  # type: ignore[return-value]


def write(numbers: Folded | Centred, metadata: Metadata, target: Target) -> bytes:  # noqa: ARG001 - as all formats
    """Write the model; equal arguments give equal bytes."""
    graph, shape, classes = Graph(), metadata.image.shape, [len(numbers.bias)]
    images = graph.input(INPUT, "uint8", shape)
    pixels = graph.add("CAST", [images], "pixels", shape)
    bias = graph.constant("bias", numbers.bias)
    if isinstance(numbers, Centred):
        centre = graph.constant("centre", numbers.centre.astype(np.float32))
        centred = graph.add("SUB", [pixels, centre], "centred", shape)
        multiples, rest = (graph.constant(name, transposed(getattr(numbers, name))) for name in ("multiples", "rest"))
        sums = behind(graph, graph.add("FULLY_CONNECTED", [centred, multiples, -1], "sums", classes), classes)
        leading = graph.add("MUL", [sums, graph.constant("step", numbers.step)], "leading", classes)
        small = graph.add("FULLY_CONNECTED", [centred, rest, bias], "small", classes)
        logits = graph.add("ADD", [leading, small], "logits", classes)
    else:
        weights = graph.constant("weights", transposed(numbers.weights))
        logits = graph.add("FULLY_CONNECTED", [pixels, weights, bias], "logits", classes)
    return finish(graph, images, logits, metadata)


def transposed(weights: NDArray[np.generic]) -> NDArray[np.generic]:
    """[D, K] → [K, D], as FULLY_CONNECTED has them."""
    return np.ascontiguousarray(weights.T)


def behind(graph: Graph, sums: int, classes: list[int], kind: str = "float32") -> int:
    """Subtract the largest sum of an image from all: [N, K] → [N, K]."""
    axis = graph.constant("axis", np.array([1], np.int32))
    largest = graph.add("REDUCE_MAX", [sums, axis], "largest", [1], kind)
    return graph.add("SUB", [sums, largest], "behind", classes, kind)


def finish(graph: Graph, images: int, logits: int, metadata: Metadata) -> bytes:
    """Add softmax, metadata and labels, and write the file with its seal."""
    probabilities = graph.add("SOFTMAX", [logits], OUTPUT, [len(metadata.labels)])
    entries = {
        METADATA: model_metadata(metadata),
        EXTRA_FILE: dumps(metadata.to_json()).encode(),
        PREFIX + SEAL: EMPTY_SEAL,
    }
    return seal(with_labels(graph.to_bytes("softmax_regression", images, probabilities, entries), metadata.labels))


def open_artefact(path: Path) -> Artefact:
    """Open the file with the runtime that users run."""
    return load(path)

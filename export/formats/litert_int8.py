"""LiteRT with weights in 8 bits: the numbers of onnx-int8, and exact integer sums as there.

LiteRT has no product of uint8 with int8 whose result is the plain sum. The weights are therefore converted to float32
when the file is loaded, and float32 sums the products exactly while no sum can reach 2²⁴. Where one can, the pixels are
cut into parts whose sums cannot, and these are added in int32.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from runtime.artefact import INPUT, Metadata
from trainer.checkpoint import Checkpoint

from ..arithmetic.bound import WHITE
from ..arithmetic.centre import EXACT
from ..arithmetic.fold import check_pixels
from ..arithmetic.quantise import ZERO, Quantised
from ..litert.graph import Graph
from . import onnx_int8
from .compatibility import Target
from .litert import behind, finish, open_artefact

__all__ = ["open_artefact", "prepare", "write"]


def prepare(checkpoint: Checkpoint) -> Quantised:
    """Fold and quantise, as for onnx-int8. Raises ExportError for a model on features."""
    check_pixels(checkpoint, "LiteRT")
    return onnx_int8.quantised(checkpoint)


def write(numbers: Quantised, metadata: Metadata, target: Target) -> bytes:  # noqa: ARG001 - as all formats
    """Write the model; equal arguments give equal bytes."""
    graph, classes = Graph(), [len(numbers.bias)]
    images = graph.input(INPUT, "uint8", metadata.image.shape)
    pixels = graph.add("CAST", [images], "pixels", metadata.image.shape)
    levels = (numbers.weights.astype(np.int16) - ZERO).astype(np.int8)  # [D, K]
    cuts = list(_cuts(levels))
    sums = _in_parts(graph, pixels, levels, cuts) if cuts else _sums(graph, pixels, levels)
    if numbers.centre is not None:
        sums = sums if cuts else graph.add("CAST", [sums], "integer_sums", classes, "int32")
        centred = graph.add("SUB", [sums, graph.constant("offset", numbers.offset())], "centred", classes, "int32")
        sums = behind(graph, centred, classes, "int32")
    if cuts or numbers.centre is not None:
        sums = graph.add("CAST", [sums], "float_sums", classes)
    scaled = graph.add("MUL", [sums, graph.constant("scale", numbers.scale)], "scaled", classes)
    logits = graph.add("ADD", [scaled, graph.constant("bias", numbers.bias)], "logits", classes)
    return finish(graph, images, logits, metadata)


def _in_parts(graph: Graph, pixels: int, levels: NDArray[np.int8], cuts: list[int]) -> int:
    """Sum parts of the pixels, and add these sums in int32."""
    features, classes = levels.shape
    row = graph.add("RESHAPE", [pixels, graph.constant("shape", np.array([-1, features], np.int32))], "row", [features])
    total = -1
    for start, end in pairwise([0, *cuts, features]):
        begin = graph.constant("begin", np.array([0, start], np.int32))
        size = graph.constant("size", np.array([-1, end - start], np.int32))
        part = graph.add("SLICE", [row, begin, size], "part", [end - start])
        sums = graph.add("CAST", [_sums(graph, part, levels[start:end])], "integer_sums", [classes], "int32")
        total = sums if total < 0 else graph.add("ADD", [total, sums], "total", [classes], "int32")
    return total


def _sums(graph: Graph, pixels: int, levels: NDArray[np.int8]) -> int:
    """Sum the products of pixels and integer weights [D, K]."""
    weights = graph.dequantised("weights", np.ascontiguousarray(levels.T))
    return graph.add("FULLY_CONNECTED", [pixels, weights, -1], "sums", [levels.shape[1]])


def _cuts(levels: NDArray[np.int8]) -> Iterator[int]:
    """Yield where to cut the pixels, so that float32 sums each part of any image exactly."""
    above = WHITE * levels.clip(min=0).astype(np.int64)  # [D, K]
    below = -WHITE * levels.clip(max=0).astype(np.int64)
    reach = np.concatenate([above, below], axis=1).cumsum(axis=0)  # [D, 2·K]
    start = np.zeros_like(reach[0])
    while (over := (reach - start).max(axis=1) > EXACT).any():
        cut = int(over.argmax())
        yield cut
        start = reach[cut - 1]

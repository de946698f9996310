"""ONNX in 8 bits: exact integer sums, the same on every processor, then scale, bias and softmax in float32.

Of a model on features the graph is in 8 bits, as onnxruntime quantises it, and the head in float32.
"""

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from runtime.artefact import INPUT, OUTPUT, Metadata
from runtime.seal import seal
from trainer.checkpoint import Checkpoint

from ..arithmetic.centre import centre_of
from ..arithmetic.fold import fold, prepare_head
from ..arithmetic.head import Head
from ..arithmetic.quantise import Quantised, quantise
from ..features.quantised import quantised as quantised_graph
from . import onnx
from .compatibility import Target
from .onnx import axes, behind, build, open_artefact

__all__ = ["open_artefact", "prepare", "quantised", "write"]

ZERO = 128


def prepare(checkpoint: Checkpoint) -> Quantised | Head:
    """Fold and quantise, with the least error on the checkpoint's training images."""
    if checkpoint.features:
        return prepare_head(checkpoint, quantised_graph(checkpoint.features, checkpoint.sample_images))
    return quantised(checkpoint)


def quantised(checkpoint: Checkpoint) -> Quantised:
    """Quantise a model on pixels."""
    return quantise(*fold(checkpoint), checkpoint.sample_images, centre_of(checkpoint))


def write(
    numbers: Quantised | Head, metadata: Metadata, target: Target, familiarity: NDArray[np.uint8] | None = None
) -> bytes:
    """Write the model as an ONNX file; equal arguments give equal bytes.

    Pixels are integers, with zero point 0. The weights are unsigned, with zero point 128, because some kernels sum
    signed 8-bit weights with too few bits.
    """
    if isinstance(numbers, Head):
        return onnx.write(numbers, metadata, target, familiarity)
    centred = numbers.centre is not None
    sums = "behind" if centred else "sums"
    nodes = [
        helper.make_node("Flatten", [INPUT], ["pixels"], name="flatten", axis=1),
        helper.make_node(
            "MatMulInteger", ["pixels", "weights", "pixels_zero", "weights_zero"], ["sums"], name="matmul"
        ),
        *(_centred(target) if centred else ()),
        helper.make_node("Cast", [sums], ["float_sums"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float_sums", "scale"], ["scaled"], name="scale"),
        helper.make_node("Add", ["scaled", "bias"], ["logits"], name="bias"),
        helper.make_node("Softmax", ["logits"], [OUTPUT], name="softmax", axis=1),
    ]
    tensors: dict[str, NDArray[np.generic]] = {
        "weights": numbers.weights,
        "pixels_zero": np.array(0, np.uint8),
        "weights_zero": np.array(ZERO, np.uint8),
        "scale": numbers.scale,
        "bias": numbers.bias,
    }
    if centred:
        tensors |= {"offset": numbers.offset(), **axes(target)}
    return seal(build(nodes, tensors, metadata, target, familiarity))


def _centred(target: Target) -> list[NodeProto]:
    """Return nodes that subtract the centre's sums, and the largest sum of an image."""
    return [
        helper.make_node("Sub", ["sums", "offset"], ["centred"], name="centre"),
        *behind("centred", "behind", target),
    ]

"""ONNX in float32, written node by node: Cast, Flatten, Gemm, Softmax. Needs no torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from runtime import load
from runtime.artefact import INPUT, OUTPUT, Metadata
from runtime.seal import seal

from ..arithmetic.fold import Folded, prepare
from ..gate.parity import Artefact
from .compatibility import Target

__all__ = ["build", "finish", "open_artefact", "prepare", "write"]


def write(numbers: Folded, metadata: Metadata, target: Target) -> bytes:
    """Write the model as an ONNX file; equal arguments give equal bytes."""
    return seal(unsealed(numbers, metadata, target))


def unsealed(numbers: Folded, metadata: Metadata, target: Target) -> bytes:
    """Write the file without a seal."""
    nodes = [
        helper.make_node("Cast", [INPUT], ["pixels"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["pixels"], ["features"], name="flatten", axis=1),
        helper.make_node("Gemm", ["features", "weights", "bias"], ["logits"], name="gemm"),
        helper.make_node("Softmax", ["logits"], [OUTPUT], name="softmax", axis=1),
    ]
    return build(nodes, {"weights": numbers.weights, "bias": numbers.bias}, metadata, target)


def build(
    nodes: Sequence[NodeProto], tensors: Mapping[str, NDArray[np.generic]], metadata: Metadata, target: Target
) -> bytes:
    """Write a file, not yet sealed.

    nodes: from INPUT to OUTPUT.
    tensors: constants of the nodes, by name.
    """
    graph = helper.make_graph(
        list(nodes),
        "softmax_regression",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", *metadata.image.shape])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", len(metadata.labels)])],
        [numpy_helper.from_array(tensor, name) for name, tensor in tensors.items()],
    )
    return finish(helper.make_model(graph, opset_imports=[helper.make_opsetid("", target.opset)]), metadata, target)


def finish(model: ModelProto, metadata: Metadata, target: Target) -> bytes:
    """Add producer and metadata to a model, check it, and serialise it, not yet sealed."""
    model.producer_name, model.ir_version = "softmax-kit", target.ir_version
    helper.set_model_props(model, metadata.to_props())
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def open_artefact(path: Path) -> Artefact:
    """Open the file with the runtime that users run."""
    return load(path)

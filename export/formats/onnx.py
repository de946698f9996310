"""ONNX in float32, written node by node. Needs no torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from runtime import load
from runtime.artefact import FEATURES, INPUT, OUTPUT, Metadata
from runtime.seal import seal
from runtime.session import ONNXRUNTIME

from ..arithmetic.centre import Centred
from ..arithmetic.fold import Numbers, prepare
from ..arithmetic.head import Head
from ..features.graph import model_of, prefixed, with_familiarity
from ..gate.parity import Artefact
from .compatibility import Target

__all__ = ["build", "finish", "open_artefact", "prepare", "write"]


AXES_AS_INPUT = 18  # the opset since which ReduceMax takes its axes so
PLAIN = [
    helper.make_node("Cast", [INPUT], ["pixels"], name="cast", to=TensorProto.FLOAT),
    helper.make_node("Flatten", ["pixels"], ["features"], name="flatten", axis=1),
    helper.make_node("Gemm", ["features", "weights", "bias"], ["logits"], name="gemm"),
    helper.make_node("Softmax", ["logits"], [OUTPUT], name="softmax", axis=1),
]
CENTRED = [
    helper.make_node("Cast", [INPUT], ["pixels"], name="cast", to=TensorProto.FLOAT),
    helper.make_node("Sub", ["pixels", "centre"], ["centred"], name="centre"),
    helper.make_node("Flatten", ["centred"], ["features"], name="flatten", axis=1),
    helper.make_node("Gemm", ["features", "weights", "bias"], ["both"], name="gemm"),
    helper.make_node("Split", ["both", "halves"], ["sums", "small"], name="split", axis=1),
]
HEAD = [
    helper.make_node("Sub", [FEATURES, "centre"], ["centred"], name="centre"),
    helper.make_node("Gemm", ["centred", "weights", "bias"], ["logits"], name="gemm"),
    helper.make_node("Softmax", ["logits"], [OUTPUT], name="softmax", axis=1),
]
LEADING = [
    helper.make_node("Mul", ["behind", "step"], ["leading"], name="step"),
    helper.make_node("Add", ["leading", "small"], ["logits"], name="add"),
    helper.make_node("Softmax", ["logits"], [OUTPUT], name="softmax", axis=1),
]


def write(numbers: Numbers, metadata: Metadata, target: Target, familiarity: NDArray[np.uint8] | None = None) -> bytes:
    """Write the model as an ONNX file; equal arguments give equal bytes.

    familiarity: the checkpoint's graph, for an artefact that has this output.
    """
    return seal(unsealed(numbers, metadata, target, familiarity))


def unsealed(
    numbers: Numbers, metadata: Metadata, target: Target, familiarity: NDArray[np.uint8] | None = None
) -> bytes:
    """Write the file without a seal."""
    if isinstance(numbers, Centred):
        nodes = [*CENTRED, *behind("sums", "behind", target), *LEADING]
        return build(nodes, _centred_tensors(numbers) | axes(target), metadata, target, familiarity)
    tensors = {"weights": numbers.weights, "bias": numbers.bias}
    if isinstance(numbers, Head):
        return _behind_graph(numbers, tensors | {"centre": numbers.centre}, metadata, target, familiarity)
    return build(PLAIN, tensors, metadata, target, familiarity)


def _behind_graph(
    head: Head, tensors: Mapping[str, NDArray[np.generic]], metadata: Metadata, target: Target,
    familiarity: NDArray[np.uint8] | None,
) -> bytes:  # fmt: skip
    """Write the features graph with the head behind it."""
    model = model_of(head.features)
    graph = prefixed(model)
    outer = _graph(HEAD, tensors, metadata)
    outer.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["N", head.features.size]))
    for name in ("node", "initializer", "sparse_initializer"):
        inner, added = getattr(graph, name), [*getattr(outer, name)]
        outer.ClearField(name)
        getattr(outer, name).extend([*inner, *added])
    return finish(helper.make_model(outer, opset_imports=model.opset_import), metadata, target, familiarity)


def _centred_tensors(numbers: Centred) -> dict[str, NDArray[np.generic]]:
    """Return the constants of CENTRED; multiples and rest side by side, to go over the pixels once."""
    classes = len(numbers.bias)
    return {
        "centre": numbers.centre.astype(np.float32),
        "weights": np.concatenate([numbers.multiples, numbers.rest], axis=1),
        "bias": np.concatenate([np.zeros_like(numbers.bias), numbers.bias]),
        "halves": np.array([classes, classes], np.int64),
        "step": numbers.step,
    }


def behind(sums: str, result: str, target: Target) -> list[NodeProto]:
    """Return nodes that subtract the largest sum of an image from all; the constants are those of `axes`."""
    if target.opset < AXES_AS_INPUT:
        largest = helper.make_node("ReduceMax", [sums], ["largest"], name="largest", axes=[1], keepdims=1)
    else:
        largest = helper.make_node("ReduceMax", [sums, "axes"], ["largest"], name="largest", keepdims=1)
    return [largest, helper.make_node("Sub", [sums, "largest"], [result], name=result)]


def axes(target: Target) -> dict[str, NDArray[np.generic]]:
    """Return the constants of `behind`, by name."""
    return {} if target.opset < AXES_AS_INPUT else {"axes": np.array([1], np.int64)}


def build(
    nodes: Sequence[NodeProto], tensors: Mapping[str, NDArray[np.generic]], metadata: Metadata, target: Target,
    familiarity: NDArray[np.uint8] | None = None,
) -> bytes:  # fmt: skip
    """Write a file, not yet sealed.

    nodes: from INPUT to OUTPUT.
    tensors: constants of the nodes, by name.
    """
    graph, opset = _graph(nodes, tensors, metadata), helper.make_opsetid("", target.opset)
    return finish(helper.make_model(graph, opset_imports=[opset]), metadata, target, familiarity)


def _graph(nodes: Sequence[NodeProto], tensors: Mapping[str, NDArray[np.generic]], metadata: Metadata) -> GraphProto:
    return helper.make_graph(
        list(nodes),
        "softmax_regression",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", *metadata.image.shape])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", len(metadata.labels)])],
        [numpy_helper.from_array(tensor, name) for name, tensor in tensors.items()],
    )


def finish(
    model: ModelProto, metadata: Metadata, target: Target, familiarity: NDArray[np.uint8] | None = None
) -> bytes:
    """Add familiarity, producer and metadata to a model, check it, and serialise it, not yet sealed."""
    if familiarity is not None:
        with_familiarity(model.graph, familiarity)
    model.producer_name, model.ir_version = "softmax-kit", target.ir_version
    helper.set_model_props(model, metadata.to_props())
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def open_artefact(path: Path) -> Artefact:
    """Open the file with the runtime that users run."""
    return load(path, backend=ONNXRUNTIME)

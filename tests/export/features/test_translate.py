"""The operators as torch computes them, in float32 and float64, against onnxruntime and ONNX's own reference."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from export.features.graph import model_of
from export.features.operators import OPERATORS, UntranslatedError
from export.features.running import features_of
from export.features.translate import translated
from export.gate.float64 import doubled, evaluator, features_in_float64
from runtime.session import open_session
from tests.export.features.graphs import START, convolution, graph_of, pictures

Nodes = Sequence[NodeProto]


def reference(model: ModelProto, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """ONNX's own reference, in float64."""
    (found,) = ReferenceEvaluator(doubled(model)).run(None, {"images": images})
    return np.asarray(found, np.float64)


def node(kind: str, *inputs: str, to: str = "y", **attributes: Any) -> NodeProto:
    return helper.make_node(kind, list(inputs), [to], **attributes)


def numbers(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(len(shape)).normal(1, 0.3, shape).astype(np.float32)


TENSORS: dict[str, NDArray[Any]] = {
    "by": np.array(64, np.float32), "weight": numbers(4, 3, 3, 3), "four": numbers(4), "wide": numbers(2, 3, 3, 2),
    "of_three": np.abs(numbers(3)), "matrix": numbers(192, 5), "turned": numbers(5, 192), "five": numbers(5),
    "one": np.array(1, np.float32), "two": np.array(2, np.float32),
    "to_2d": np.array([0, 3, -1], np.int64), "all": np.array([-1, 192], np.int64),
    "axes": np.array([2, 3], np.int64), "ends": np.array([0, 0, 1, 0, 0, 0, 0, 2], np.int64),
    "steep": np.abs(numbers(1, 3, 1, 1)),
}  # fmt: skip
X = node("Div", "pixels", "by", to="x")
FLAT = node("Flatten", "y", to="features")
UNARY = ["Abs", "Erf", "Exp", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Neg", "Relu", "Sigmoid", "Sqrt",
         "Tanh"]  # fmt: skip
BINARY = ["Add", "Sub", "Mul", "Div", "Pow"]
KERNEL: dict[str, Any] = {"kernel_shape": [3, 3]}
CASES: dict[str, list[NodeProto]] = {
    **{kind: [node(kind, "x")] for kind in UNARY},
    **{kind: [node(kind, "x", "steep")] for kind in BINARY},
    "hard sigmoid of its own": [node("HardSigmoid", "x", alpha=0.1, beta=0.3)],
    "clip": [node("Clip", "x", "one", "two")],
    "clip from below": [node("Clip", "x", "one")],
    "clip from above": [node("Clip", "x", "", "two")],
    "dropout": [node("Dropout", "x")],
    "conv": [node("Conv", "x", "weight", "four", pads=[1, 1, 1, 1], **KERNEL)],
    "conv, uneven": [node("Conv", "x", "weight", pads=[0, 1, 1, 0], strides=[2, 1], dilations=[2, 1], **KERNEL)],
    "conv, grouped": [node("Conv", "x", "depthwise", group=3, auto_pad="VALID", kernel_shape=[2, 2])],
    "max pool": [node("MaxPool", "x", strides=[2, 2], pads=[1, 1, 1, 1], **KERNEL)],
    "max pool, uneven": [node("MaxPool", "x", pads=[0, 0, 1, 1], **KERNEL)],
    "max pool, ceil": [node("MaxPool", "x", strides=[2, 2], ceil_mode=1, **KERNEL)],
    "average pool": [node("AveragePool", "x", strides=[2, 2], pads=[1, 1, 1, 1], **KERNEL)],
    "average pool, counted": [node("AveragePool", "x", pads=[0, 1, 1, 1], count_include_pad=1, **KERNEL)],
    "global average pool": [node("GlobalAveragePool", "x")],
    "batch norm": [node("BatchNormalization", "x", "of_three", "of_three", "of_three", "of_three", epsilon=0.01)],
    "mean": [node("ReduceMean", "x", axes=[2, 3])],
    "mean, no axis": [node("ReduceMean", "x", axes=[1], keepdims=0)],
    "sum": [node("ReduceSum", "x", "axes")],
    "transpose": [node("Transpose", "x", perm=[0, 2, 3, 1])],
    "reshape": [node("Reshape", "x", "to_2d")],
    "concat": [node("Concat", "x", "x", axis=1)],
    "squeeze": [node("GlobalAveragePool", "x", to="p"), node("Squeeze", "p", "axes")],
    "unsqueeze": [node("Unsqueeze", "x", "axes")],
    "pad": [node("Pad", "x", "ends", "two")],
    "pad with 0": [node("Pad", "x", "ends")],
    "softmax": [node("Softmax", "x", axis=1)],
    "matmul": [node("Reshape", "x", "all", to="r"), node("MatMul", "r", "matrix")],
    "gemm": [node("Flatten", "x", to="r"), node("Gemm", "r", "matrix", "five")],
    "gemm, scaled": [node("Flatten", "x", to="r"), node("Gemm", "r", "turned", "five", transB=1, alpha=0.5, beta=2.0)],
    "gemm, no bias": [node("Flatten", "x", to="r"), node("Gemm", "r", "matrix")],
    "cast": [node("Cast", "x", to="i"), node("Cast", "i")],
    "constant": [
        helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(numbers(3, 1, 1))),
        helper.make_node("Constant", [], ["f"], value_float=2.0),
        node("Identity", "f", to="g"), node("Mul", "x", "k", to="m"), node("Mul", "m", "g"),
    ],
}  # fmt: skip
for step, kind in zip(CASES["cast"], (TensorProto.INT32, TensorProto.FLOAT), strict=True):
    step.attribute.append(helper.make_attribute("to", kind))
TENSORS["depthwise"] = numbers(3, 1, 2, 2)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("name", list(CASES))
def test_an_operator(name: str) -> None:
    nodes = [*START, X, *CASES[name], FLAT]
    used = {part for found in nodes for part in found.input}
    tensors = {part: values for part, values in TENSORS.items() if part in used}
    images = pictures(3)
    plain = graph_of(nodes, tensors, 1, opset=14)
    (found,) = open_session(plain.graph.tobytes()).run(None, {"images": images})
    width = np.asarray(found).shape[1]
    features = graph_of(nodes, tensors, width, opset=14)
    model = model_of(features)
    expected = features_of(features, images)
    with torch.inference_mode():
        single, double = (translated(model, double=double)(torch.from_numpy(images)) for double in (False, True))
        scripted = torch.jit.script(translated(model))(torch.from_numpy(images))
    assert (single.dtype, double.dtype, single.shape) == (torch.float32, torch.float64, expected.shape)
    np.testing.assert_allclose(single, expected, rtol=1e-5, atol=1e-5)  # some roundings of float32
    np.testing.assert_array_equal(single, scripted)
    if name != "max pool, uneven":  # of which ONNX's own makes another shape
        np.testing.assert_allclose(
            double, reference(model, images), rtol=1e-6, atol=1e-12
        )  # it keeps some attributes in float32
    np.testing.assert_allclose(double, expected, rtol=1e-5, atol=1e-5)


def test_every_operator_has_a_case() -> None:
    tried = {found.op_type for nodes in CASES.values() for found in nodes} | {"Cast", "Transpose", "Flatten"}
    assert set(OPERATORS) <= tried


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (node("Sin", "x"), "Sin"),
        (node("Conv", "x", "weight", auto_pad="SAME_UPPER", **KERNEL), "Conv as it is used in 'y'"),
        (node("AveragePool", "x", ceil_mode=1, name="pool", **KERNEL), "AveragePool as it is used in 'pool'"),
        (node("Flatten", "x", axis=2), "Flatten as it is used in 'y'"),
        (node("Pad", "x", "ends", mode="reflect"), "Pad as it is used in 'y'"),
        (node("ReduceMean", "x"), "ReduceMean as it is used in 'y'"),
    ],
)
def test_what_torch_is_not_known_to_compute(found: NodeProto, message: str) -> None:
    model = model_of(graph_of([*START, X, found, FLAT], TENSORS))
    with pytest.raises(UntranslatedError, match=f"^{message}$"):
        translated(model)


def test_other_operators_run_in_onnxs_reference() -> None:
    features = graph_of([*START, X, node("Sin", "x"), FLAT], TENSORS, 192)
    images = pictures(12)
    found = features_in_float64(features, images)
    assert found.dtype == np.float64
    exact = np.sin(images.transpose(0, 3, 1, 2).reshape(12, -1) / 64.0)
    np.testing.assert_allclose(found, exact, atol=1e-12)


def test_float64_is_as_in_the_reference() -> None:
    features, images = convolution(), pictures(20)
    found = features_in_float64(features, images)
    np.testing.assert_allclose(found, reference(model_of(features), images), atol=1e-12)
    assert np.abs(found - features_of(features, images)).max() < 1e-5


def test_threads_stay_as_they_were() -> None:
    usual = torch.get_num_threads()
    evaluator(model_of(convolution()))(pictures(1))
    assert torch.get_num_threads() == usual


def test_the_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.gate.float64.SECONDS", 0.0)
    assert len(features_in_float64(convolution(), pictures(30))) == 8
    assert len(features_in_float64(convolution(), pictures(5))) == 5

"""Each operator gives what onnxruntime gives."""

import re
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from runtime.artefact import INPUT, OUTPUT
from runtime.errors import ArtefactError
from runtime.numpy_backend.operators import LARGEST_EXACT, OPERATORS, UFUNCS
from runtime.numpy_backend.session import NumpySession
from runtime.session import open_session

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(0, 256, (5, 8, 6, 3), np.uint8)
FLOATS = [helper.make_node("Cast", [INPUT], ["x"], to=TensorProto.FLOAT)]
PLANES = [*FLOATS, helper.make_node("Transpose", ["x"], ["p"], perm=[0, 3, 1, 2])]
FLAT = [*FLOATS, helper.make_node("Flatten", ["x"], ["f"])]


def written(nodes: list[Any], opset: int = 13, **tensors: Any) -> bytes:
    """A model of nodes, the last of which gives the output."""
    arrays = {name: np.asarray(value) for name, value in tensors.items()}
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", 8, 6, 3])],
        [helper.make_empty_tensor_value_info(OUTPUT)],
        [numpy_helper.from_array(value, name) for name, value in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)
    return bytes(model.SerializeToString())


def node(operator: str, *inputs: str, outputs: tuple[str, ...] = (OUTPUT,), **attributes: Any) -> Any:
    return helper.make_node(operator, list(inputs), list(outputs), **attributes)


def check(data: bytes, tolerance: float = 1e-6) -> None:
    for images in (IMAGES, IMAGES[:1]):
        (expected,) = open_session(data).run([OUTPUT], {INPUT: images})
        (found,) = NumpySession(data).run([OUTPUT], images)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("operator", list(UFUNCS))
def test_elementwise(operator: str) -> None:
    other = GENERATOR.normal(size=(8, 1, 3)).astype(np.float32)
    if UFUNCS[operator].nin == 2:
        check(written([*FLOATS, node(operator, "x", "other")], other=other))
    else:
        check(written([*FLOATS, node("Add", "x", "one", outputs=("y",)), node(operator, "y")], one=np.float32(1)))


FEATURES = 8 * 6 * 3
SMALL: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "Relu": ([*FLOATS, node("Sub", "x", "c", outputs=("y",)), node("Relu", "y")], {"c": np.float32(128)}),
    "Reshape": ([*FLOATS, node("Reshape", "x", "s")], {"s": np.array([0, -1, 2])}),
    "Reshape of planes": ([*PLANES, node("Reshape", "p", "s")], {"s": np.array([0, -1, 4])}),
    "Flatten of planes": ([*PLANES, node("Flatten", "p")], {}),
    "Split": (
        [*FLAT, node("Split", "f", "s", outputs=("a", "b"), axis=1), node("Neg", "b")],
        {"s": np.array([100, FEATURES - 100])},
    ),
    "Concat": ([*FLAT, node("Concat", "f", "f", axis=1)], {}),
    "Gemm": ([*FLAT, node("Gemm", "f", "w", "b")], {"w": GENERATOR.normal(size=(FEATURES, 7)), "b": np.arange(7.0)}),
    "Gemm, transposed": ([*FLAT, node("Gemm", "f", "w", transB=1)], {"w": GENERATOR.normal(size=(7, FEATURES))}),
    "MatMul": ([*FLAT, node("MatMul", "f", "w")], {"w": GENERATOR.normal(size=(FEATURES, 4))}),
    "ReduceMax": ([*FLOATS, node("ReduceMax", "x", axes=[1, 2], keepdims=0)], {}),
    "Softmax": ([*FLAT, node("Div", "f", "c", outputs=("y",)), node("Softmax", "y", axis=1)], {"c": np.float32(20)}),
    "Softmax of an axis": ([*FLOATS, node("Softmax", "x", axis=2)], {}),
    "Conv": (
        [*PLANES, node("Conv", "p", "w", "b", strides=[2, 1])],
        {"w": GENERATOR.normal(size=(5, 3, 3, 2)), "b": np.arange(5.0)},
    ),
    "AveragePool": ([*PLANES, node("AveragePool", "p", kernel_shape=[4, 3], strides=[2, 3])], {}),
    "GlobalAveragePool": ([*PLANES, node("GlobalAveragePool", "p")], {}),
    "TopK, smallest": (
        [*FLAT, node("TopK", "f", "k", outputs=(OUTPUT, "places"), largest=0)],
        {"k": np.array([5])},
    ),
    "TopK": ([*FLAT, node("TopK", "f", "k", outputs=(OUTPUT, "places"))], {"k": np.array([3])}),
}


@pytest.mark.parametrize("name", list(SMALL))
def test_others(name: str) -> None:
    nodes, tensors = SMALL[name]
    kinds = {key: value if value.dtype.kind == "i" else value.astype(np.float32) for key, value in tensors.items()}
    check(written(nodes, **kinds), 1e-5)


def test_axes_as_an_input() -> None:
    check(written([*FLOATS, node("ReduceMax", "x", "axes")], opset=18, axes=np.array([3])))


@pytest.mark.parametrize("largest", [40, 255])
@pytest.mark.parametrize("zero", [None, 3])
def test_integer_products_are_exact(largest: int, zero: int | None) -> None:
    """Also where float32 could not hold the sums."""
    wide = np.tile(GENERATOR.integers(0, largest + 1, (FEATURES, 4), np.uint8), (1, 1))
    nodes = [
        node("Flatten", INPUT, outputs=("f",)),
        node("MatMulInteger", "f", "w", *([] if zero is None else ["a", "b"])),
    ]
    zeros: dict[str, Any] = {} if zero is None else {"a": np.uint8(zero), "b": np.uint8(128)}
    data = written(nodes, w=wide, **zeros)
    (expected,) = open_session(data).run([OUTPUT], {INPUT: IMAGES})
    np.testing.assert_array_equal(NumpySession(data).run([OUTPUT], IMAGES)[0], expected)


def test_sums_beyond_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Odd sums above 2^24 differ by one from what float32 would hold."""
    weights = np.full((FEATURES, 1), 255, np.uint8)
    data = written([node("Flatten", INPUT, outputs=("f",)), node("MatMulInteger", "f", "w")], w=np.tile(weights, 3))
    images = np.full((1, 8, 6, 3), 255, np.uint8)
    monkeypatch.setattr("runtime.numpy_backend.operators.LARGEST_EXACT", 2**20)
    assert FEATURES * 255**2 > 2**20
    assert LARGEST_EXACT == 2**24
    np.testing.assert_array_equal(NumpySession(data).run([OUTPUT], images)[0], FEATURES * 255**2)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([*PLANES, node("Conv", "p", "w", pads=[1, 1, 1, 1])], "Conv with padding, groups or dilation"),
        ([*PLANES, node("AveragePool", "p", kernel_shape=[2, 2], pads=[0, 0, 1, 1])], "AveragePool with padding"),
        ([*FLAT, node("Gemm", "f", "m", alpha=2.0)], "Gemm with factors"),
        ([*FLAT, node("TopK", "f", "k", outputs=(OUTPUT, "i"), axis=0)], "TopK of another axis"),
        ([*FLAT, node("Gemm", "f", "absent")], "Gemm of absent, which nothing computes"),
        ([*FLOATS, node("Reshape", "x", "x")], "a constant that the graph computes"),
        ([*FLOATS, node("Erf", "x")], "the operator Erf"),
        ([helper.make_node("Cast", [INPUT], [OUTPUT], domain="evil", to=1)], "the operator evil.Cast"),
        ([*FLAT, node("Gemm", "f", "k")], "refuses"),
    ],
)
def test_what_it_cannot_run_is_said(nodes: list[Any], message: str) -> None:
    weights = np.ones((2, 3, 3, 3), np.float32)
    data = written(nodes, w=weights, m=np.ones((FEATURES, 2), np.float32), k=np.array([3]))
    with pytest.raises(ArtefactError, match=rf"expected an ONNX file that numpy can run.*{re.escape(message)}"):
        NumpySession(data).prepare([OUTPUT])


def test_each_operator_is_tested() -> None:
    tested = {item.op_type for nodes, _ in SMALL.values() for item in nodes} | set(UFUNCS)
    assert set(OPERATORS) - tested == {"Identity", "MatMulInteger"}

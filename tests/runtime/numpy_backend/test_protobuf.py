"""Reads what onnx writes, and refuses the rest."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from runtime.errors import ArtefactError
from runtime.numpy_backend.protobuf import read_model


def test_the_digits(model: Path) -> None:
    data = model.read_bytes()
    found, expected = read_model(data), onnx.load_from_string(data)
    assert [(node.operator, list(node.inputs), list(node.outputs)) for node in found.nodes] == [
        (node.op_type, list(node.input), list(node.output)) for node in expected.graph.node
    ]
    for node, other in zip(found.nodes, expected.graph.node, strict=True):
        assert node.attributes == {item.name: helper.get_attribute_value(item) for item in other.attribute}
    assert found.props == {item.key: item.value for item in expected.metadata_props}
    assert (found.producer, found.opset) == ("softmax-kit", 13)
    (images,), (probabilities,) = found.inputs, found.outputs
    assert images == ("images", "tensor(uint8)", ("N", 8, 8, 1))
    assert probabilities == ("probabilities", "tensor(float)", ("N", 10))
    for tensor in expected.graph.initializer:
        np.testing.assert_array_equal(found.tensors[tensor.name], numpy_helper.to_array(tensor))
        assert not found.tensors[tensor.name].flags.writeable


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (TensorProto.FLOAT, [1.5, -2.0, 3.25]),
        (TensorProto.DOUBLE, [1.5, -2.0, 1e300]),
        (TensorProto.INT64, [-1, 2**62, 0]),
        (TensorProto.INT32, [-1, 2**31 - 1, 0]),
        (TensorProto.UINT8, [0, 128, 255]),
        (TensorProto.INT8, [-128, 0, 127]),
        (TensorProto.BOOL, [True, False, True]),
    ],
)
@pytest.mark.parametrize("raw", [False, True])
def test_tensors_of_every_type(kind: int, values: list[float], raw: bool) -> None:
    tensor = helper.make_tensor("t", kind, [3], values)
    if raw:
        tensor = numpy_helper.from_array(numpy_helper.to_array(tensor), "t")
    found = read_model(of(tensor)).tensors["t"]
    expected = numpy_helper.to_array(tensor)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def of(*tensors: TensorProto, opset: int = 13, ir_version: int = 7) -> bytes:
    """A model of tensors alone."""
    graph = helper.make_graph([], "g", [], [], list(tensors))
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("another", 1)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=ir_version).SerializeToString())


def test_an_empty_tensor() -> None:
    found = read_model(of(helper.make_tensor("t", TensorProto.FLOAT, [0, 4], []))).tensors["t"]
    assert found.shape == (0, 4)


def external() -> TensorProto:
    tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../secret")
    return tensor


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x08\x07", "refuses .7."),
        (b"\x08" + b"\xff" * 20, "an integer without an end"),
        (b"\x3a\xff\xff\xff\xff\x0f", "a field that ends behind the file"),
        (b"\x0b", "a field of kind 3"),
        (b"\x08\x07\x42\x02\x10\x0d\x3a\x00\x10" + b"\xff" * 8 + b"\x3f", "an integer in place of text"),
        (of(opset=12), "opset 12 and IR version 7"),
        (of(opset=99), "opset 99 and IR version 7"),
        (of(ir_version=99), "opset 13 and IR version 99"),
        (of(TensorProto(name="t", data_type=8)), "a tensor of type 8"),
        (of(TensorProto(name="t", data_type=1, dims=[-1])), "shape .-1."),
        (of(TensorProto(name="t", data_type=1, dims=[2**40, 10], raw_data=b"1234")), "cannot reshape"),
        (of(TensorProto(name="t", data_type=1, dims=[1], raw_data=b"123")), "buffer size"),
        (of(external()), "all weights in the file, found some in other files"),
    ],
    ids=range(13),
)
def test_what_is_damaged_or_hostile(data: bytes, message: str) -> None:
    with pytest.raises(ArtefactError, match=rf"expected .*{message}.*: export it again"):
        read_model(data)


def test_every_cut(model: Path) -> None:
    """A file that ends early is refused, or has lost a whole field at its end."""
    data = model.read_bytes()
    whole = read_model(data)
    for size in range(0, len(data), 41):
        try:
            found = read_model(data[:size])
        except ArtefactError:
            continue
        assert (found.props, found.opset) != (whole.props, whole.opset)

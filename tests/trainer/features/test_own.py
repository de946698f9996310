import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from runtime.digest import digest
from trainer.errors import ConfigError, DataError
from trainer.features import own
from trainer.features.graph import opened

PIXELS = own.Pixels("NCHW", [10.0, 20.0, 30.0], [2.0])


def tensor(name: str, *shape: int) -> TensorProto:
    return numpy_helper.from_array(np.random.default_rng(7).normal(size=shape).astype(np.float32), name)


def network(sides: Sequence[int | str] = ("N", 3, 8, 8), opset: int = 17) -> ModelProto:
    """A network with the names that a features graph has itself, an If that reads a name outside, and two outputs."""
    branches = [
        helper.make_graph(
            [helper.make_node(kind, ["features"], [f"{kind}.branch"])],
            kind,
            [],
            [helper.make_tensor_value_info(f"{kind}.branch", TensorProto.FLOAT, None)],
        )
        for kind in ("Relu", "Neg")
    ]
    nodes = [
        helper.make_node(
            "Conv", ["images", "weights"], ["features"], kernel_shape=[3, 3], doc_string="/home/me/net.py"
        ),
        helper.make_node("If", ["yes"], ["chosen"], then_branch=branches[0], else_branch=branches[1]),
        helper.make_node("GlobalAveragePool", ["chosen"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["inside"]),
        helper.make_node("MatMul", ["inside", "head"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, list(sides))],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [sides[0], 2]),
            helper.make_tensor_value_info("pooled", TensorProto.FLOAT, [sides[0], 5, 1, 1]),
        ],
        [tensor("weights", 5, 3, 3, 3), tensor("head", 5, 2), numpy_helper.from_array(np.array(True), "yes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    helper.set_model_props(model, {"source": "/home/me"})
    return model


def bytes_network() -> ModelProto:
    """A network of uint8 [N, H, W, 1]."""
    nodes = [
        helper.make_node("Cast", ["x"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["y"]),
    ]
    images = helper.make_tensor_value_info("x", TensorProto.UINT8, ["N", 2, 3, 1])
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 6])]
    graph = helper.make_graph(nodes, "net", [images], outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def saved(model: ModelProto, folder: Path) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)


@pytest.mark.parametrize("output", ["logits", "pooled", "inside"])
@pytest.mark.parametrize("batch", ["N", 1])
def test_the_features_are_the_networks(
    tmp_path: Path, images: NDArray[np.uint8], output: str, batch: str | int
) -> None:
    model = network((batch, 3, 8, 8))
    graph = own.build(saved(model, tmp_path), output=output, pixels=PIXELS)
    model.graph.output.append(helper.make_tensor_value_info("inside", TensorProto.FLOAT, None))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.ClearField("shape")
    normal = ((images - np.array([10, 20, 30], np.float32)) / 2).transpose(0, 3, 1, 2)
    (expected,) = cast(Any, ReferenceEvaluator(model)).run([output], {"images": normal})
    expected = expected.reshape(3, -1)
    found = opened(graph.data, "net")(images)
    assert (found.shape, graph.size) == (expected.shape, expected.shape[1])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)  # float32 sums of values around 100


def test_what_is_said_of_it(tmp_path: Path) -> None:
    path = saved(network(), tmp_path)
    graph = own.build(path, output="pooled", pixels=PIXELS)
    assert graph.about == {
        "weights": {"digest": digest(path.read_bytes()), "licence": "NOASSERTION", "source": "net.onnx"},
        "image": [8, 8, 3],
        "output": "pooled",
        "layout": "NCHW",
        "mean": [10.0, 20.0, 30.0],
        "scale": [2.0, 2.0, 2.0],
    }


def test_only_what_the_output_needs_is_in_the_file(tmp_path: Path) -> None:
    data = own.build(saved(network(), tmp_path), output="inside", pixels=PIXELS).data
    assert data == own.build(saved(network(), tmp_path), output="inside", pixels=PIXELS).data
    model = onnx.load_model_from_string(data)
    assert {value.name for value in model.graph.initializer} == {"sub.by", "div.by", "net.weights", "net.yes"}
    assert "MatMul" not in {node.op_type for node in model.graph.node}
    assert model.ir_version == 7
    assert b"/home/me" not in data


def test_channels_last_and_a_free_size(tmp_path: Path, images: NDArray[np.uint8]) -> None:
    model = network(("N", "H", "W", 3))
    first = helper.make_node("Transpose", ["images"], ["turned"], perm=[0, 3, 1, 2])
    model.graph.node[0].input[0] = "turned"
    nodes = [first, *model.graph.node]
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)
    path = saved(model, tmp_path)
    pixels = PIXELS._replace(layout="NHWC")
    found = own.build(path, output="pooled", image_size=8, pixels=pixels).data
    expected = own.build(saved(network(), tmp_path), output="pooled", pixels=PIXELS).data
    np.testing.assert_allclose(opened(found, "net")(images), opened(expected, "net")(images), rtol=1e-5)


def test_an_input_of_bytes_is_as_it_is(tmp_path: Path) -> None:
    graph = own.build(saved(bytes_network(), tmp_path))
    images = np.arange(12, dtype=np.uint8).reshape(2, 2, 3, 1)
    np.testing.assert_array_equal(opened(graph.data, "net")(images), images.reshape(2, 6).astype(np.float32))
    assert (graph.about["image"], graph.about["layout"], graph.about["mean"]) == ([2, 3, 1], "NHWC", None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"output": None}, "expected --features-output, one of its outputs, logits, pooled, or of the values inside"),
        ({"output": "images"}, "features, chosen, inside, found 'images': name one"),
        ({"pixels": own.NOTHING}, "expected layout, NCHW or NHWC, mean and scale of the pixels 0-255, as its input"),
        ({"pixels": PIXELS._replace(layout="CHW")}, "found CHW, [10.0, 20.0, 30.0] and [2.0]: give what it was"),
        ({"pixels": PIXELS._replace(mean=[1.0, 2.0])}, "of 1 or 3 finite numbers, found [1.0, 2.0]: give these"),
        ({"pixels": PIXELS._replace(scale=[])}, "of 1 or 3 finite numbers, found []: give these"),
        ({"pixels": PIXELS._replace(scale=[float("nan")])}, "of 1 or 3 finite numbers, found [nan]: give these"),
        ({"image_size": 9}, "expected images of the size that it takes, [N, 3, 8, 8], found --image-size 9: leave"),
    ],
)
def test_settings_that_do_not_fit(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        own.build(saved(network(), tmp_path), **({"output": "pooled", "pixels": PIXELS} | settings))


def test_settings_of_an_input_of_bytes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected no layout, mean or scale, as its input x is uint8"):
        own.build(saved(bytes_network(), tmp_path), pixels=PIXELS)


def test_a_free_size_has_to_be_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected --image-size, as it takes images of any size, found none"):
        own.build(saved(network(("N", 3, 8, "W")), tmp_path), output="pooled", pixels=PIXELS)


def external(model: ModelProto) -> None:
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")


def foreign(model: ModelProto) -> None:
    """Put another library's operator into a branch."""
    model.graph.node[1].attribute[0].g.node[0].domain = "evil"
    model.opset_import.add(domain="evil", version=1)


def dims(*sides: int | str) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        model.graph.input[0].CopyFrom(helper.make_tensor_value_info("images", TensorProto.FLOAT, list(sides)))

    return change


def kind(number: int) -> Callable[[ModelProto], None]:
    return lambda model: setattr(model.graph.input[0].type.tensor_type, "elem_type", number)


def pools(size: int) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        model.graph.node[2].CopyFrom(helper.make_node("AveragePool", ["chosen"], ["pooled"], kernel_shape=[size, size]))

    return change


def mixes(model: ModelProto) -> None:
    """Subtract the mean over the images."""
    model.graph.node[2].CopyFrom(helper.make_node("GlobalAveragePool", ["chosen"], ["apart"]))
    model.graph.node.insert(3, helper.make_node("ReduceMean", ["apart"], ["mean"], axes=[0]))
    model.graph.node.insert(4, helper.make_node("Sub", ["apart", "mean"], ["pooled"]))


def first_two(model: ModelProto) -> None:
    """Drop all images but two."""
    model.graph.node[2].output[0] = "all"
    model.graph.initializer.extend(numpy_helper.from_array(np.array([at]), f"at.{at}") for at in (0, 2))
    model.graph.node.insert(3, helper.make_node("Slice", ["all", "at.0", "at.2"], ["pooled"]))


def fixed(model: ModelProto) -> None:
    """Reshape to a batch of one."""
    dims(1, 3, 8, 8)(model)
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 5, 1, 1]), "shape"))
    model.graph.node[2].output[0] = "free"
    model.graph.node.insert(3, helper.make_node("Reshape", ["free", "shape"], ["pooled"]))


def infinite(model: ModelProto) -> None:
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.full((5, 3, 3, 3), np.inf, np.float32), "weights"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (external, "expected all weights in the file, found some in other files"),
        (foreign, "expected the operators of ONNX alone, found evil"),
        (
            lambda model: model.functions.add(name="f", domain="d"),
            "expected the operators of ONNX alone, found functions",
        ),
        (lambda model: setattr(model.opset_import[0], "version", 12), "expected opset 13 or newer, found 12: convert"),
        (lambda model: model.ClearField("opset_import"), "expected opset 13 or newer, found 0"),
        (lambda model: setattr(model.opset_import[0], "version", 999), "999"),
        (lambda model: setattr(model.graph.node[0], "op_type", "Unheard"), "Unheard"),
        (lambda model: model.graph.input.add(name="mask"), "expected one input, the images, found images, mask"),
        (lambda model: model.graph.ClearField("input"), "expected one input, the images, found none"),
        (dims("N", 192), "expected an input [N, H, W, C] or [N, C, H, W], found [N, 192]"),
        (dims(4, 3, 8, 8), "expected a free batch size, found 4"),
        (dims("N", 4, 8, 8), "expected NCHW images of 1 or 3 channels, found [N, 4, 8, 8]"),
        (dims("N", 3, 2**40, 2**40), "expected an image side of 1 to 16,384 pixels, found 1099511627776"),
        (dims("N", 3, -1, -1), "expected an image side of 1 to 16,384 pixels, found -1"),
        (kind(TensorProto.DOUBLE), "expected an input of uint8 or float32, found double"),
        (kind(77), "expected an input of uint8 or float32, found type 77"),
        (
            pools(2),
            "expected an output [N, D], [N, D, 1, 1] or [N, 1, 1, D], found [2, 5, 5, 5] for 2 images at pooled",
        ),
        (mixes, "expected the features of an image to be the same whatever is beside it"),
        (fixed, "expected a graph that runs on 2 images [8, 8, 3], found one that fails"),
        (first_two, "expected features of float32 [N, D], found float32 [2, 5] for 3 images: name another output"),
        (infinite, "expected finite features, found NaN or infinity"),
    ],
)
def test_a_file_that_is_refused(tmp_path: Path, change: Callable[[ModelProto], object], message: str) -> None:
    model = network()
    change(model)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        own.build(saved(model, tmp_path), output="pooled", pixels=PIXELS)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("net.onnx: ")


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(network().SerializeToString().replace(b"chosen", b"\xffhosen"))
    with pytest.raises(DataError, match="expected names in UTF-8, found other bytes"):
        own.build(path, output="pooled", pixels=PIXELS)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"\x80\x04 a pickle"), "expected an ONNX file, found other content"),
        (lambda path: path.touch(), "expected opset 13 or newer, found 0"),
        (lambda path: None, "expected an ONNX file, found none (No such file or directory)"),  # noqa: ARG005
        (lambda path: path.mkdir(), "expected an ONNX file, found none (Is a directory)"),
        (lambda path: os.mkfifo(path), "expected an ONNX file, found a device or a pipe"),
    ],
)
def test_no_onnx_file(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    make(tmp_path / "net.onnx")
    with pytest.raises(DataError, match=re.escape(message)):
        own.build(tmp_path / "net.onnx", output="pooled", pixels=PIXELS)

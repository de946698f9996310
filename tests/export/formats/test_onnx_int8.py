"""The 8-bit file: what is in it, that its sums are exact, and what it costs in accuracy."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import runtime
from export import export
from export.arithmetic.quantise import Quantised
from runtime.session import open_session
from trainer import Checkpoint, Dataset, fit


def test_the_graph(exported: dict[str, Path]) -> None:
    proto = onnx.load(exported["onnx-int8"])
    operators = [node.op_type for node in proto.graph.node]
    assert operators == ["Flatten", "MatMulInteger", "Cast", "Mul", "Add", "Softmax"]
    assert (proto.ir_version, proto.opset_import[0].version) == (7, 13)
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    assert {name: (str(tensor.dtype), tensor.shape) for name, tensor in tensors.items()} == {
        "weights": ("uint8", (64, 10)),
        "pixels_zero": ("uint8", ()),
        "weights_zero": ("uint8", ()),
        "scale": ("float32", (10,)),
        "bias": ("float32", (10,)),
    }
    assert (int(tensors["pixels_zero"]), int(tensors["weights_zero"])) == (0, 128)


def test_the_sums_are_exact(exported: dict[str, Path]) -> None:
    """Against Python's own integers, on images that reach as far as sums can."""
    proto = onnx.load(exported["onnx-int8"])
    weights = (
        next(numpy_helper.to_array(t) for t in proto.graph.initializer if t.name == "weights").astype(object) - 128
    )
    proto.graph.output.append(helper.make_tensor_value_info("sums", TensorProto.INT32, ["N", 10]))
    session = open_session(proto.SerializeToString())
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (500, 8, 8, 1), np.uint8)
    images[:20] = 255
    for k in range(10):
        images[k] = np.where(weights[:, k].reshape(8, 8, 1) > 0, 255, 0)
        images[k + 10] = 255 - images[k]
    sums = session.run(["sums"], {"images": images})[0]
    np.testing.assert_array_equal(sums, (images.reshape(500, 64).astype(object) @ weights).astype(np.int64))


def test_accuracy_and_size_on_digits(exported: dict[str, Path], digits: Dataset) -> None:
    images, targets = digits.test.images.numpy(), digits.test.targets.numpy()
    float32, int8 = (runtime.load(exported[name]).probabilities(images) for name in ("onnx", "onnx-int8"))
    assert abs((int8.argmax(axis=1) == targets).mean() - (float32.argmax(axis=1) == targets).mean()) <= 0.002
    assert np.abs(int8 - float32).max() < 0.05


def test_accuracy_and_sizes_on_fashion_mnist(fashion: Dataset, tmp_path: Path) -> None:
    checkpoint = fit(fashion).checkpoint
    images, targets = fashion.test.images.numpy(), fashion.test.targets.numpy()
    accuracy, size = {}, {}
    for name in ("onnx", "onnx-int8"):
        path = export(checkpoint, name, tmp_path / name).path
        accuracy[name] = float((runtime.load(path).probabilities(images).argmax(axis=1) == targets).mean())
        golden = next(item for item in onnx.load(path).metadata_props if item.key == "kit.golden").value
        size[name] = path.stat().st_size - len(golden.encode())
    print(f"accuracy {accuracy}, bytes beside the golden examples {size}")
    assert abs(accuracy["onnx"] - accuracy["onnx-int8"]) <= 0.002
    assert size["onnx"] <= 36 * 1024
    assert size["onnx-int8"] <= 12 * 1024


def test_colour(tiny: Dataset, tmp_path: Path) -> None:
    fitted = fit(tiny)
    path = export(fitted.checkpoint, "onnx-int8", tmp_path / "model.onnx").path
    found = runtime.load(path).probabilities(tiny.test.images.numpy())
    expected = fitted.model.probabilities(tiny.test.images[:]).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.05)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.99


def test_the_gate_takes_one_label_in_a_hundred(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One level fewer in each weight, as careless rounding has it, is too much."""
    from export.formats import onnx_int8

    prepare = onnx_int8.prepare

    def coarse(checkpoint: Checkpoint) -> object:
        import dataclasses

        numbers = prepare(checkpoint)
        assert isinstance(numbers, Quantised)
        return dataclasses.replace(
            numbers, weights=((numbers.weights.astype(int) - 128) // 16 * 16 + 128).astype(np.uint8)
        )

    monkeypatch.setattr(onnx_int8, "prepare", coarse)
    with pytest.raises(
        runtime.KitError, match=r"expected probabilities within 0\.05 of the trained model's and 99% equal"
    ):
        export(checkpoint, "onnx-int8", tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []

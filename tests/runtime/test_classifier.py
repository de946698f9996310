"""Loading artefacts and classifying with them."""

import os
import pickle
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import runtime
from runtime import ArtefactError, Classifier, InputError, Prediction, SelfTestError
from runtime.artefact import SEAL_START, UNSEALED, seal
from tests.interpreter import run_python
from trainer import Checkpoint, Dataset, Fit


@pytest.fixture(scope="session")
def classifier(model: Path) -> Classifier:
    return runtime.load(model)


@pytest.fixture
def pixels(digits: Dataset) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return digits.test.images.numpy()


def change(source: Path, target: Path, edit: Any) -> Path:
    """Write an artefact again with its protobuf changed by `edit`, and sealed as if it were right."""
    proto = onnx.load(source)
    edit(proto)
    props = {prop.key: prop.value for prop in proto.metadata_props}
    helper.set_model_props(proto, props | {"kit.seal": (SEAL_START + UNSEALED).decode()})
    target.write_bytes(seal(proto.SerializeToString()))
    return target


def test_a_prediction(classifier: Classifier, digits: Dataset, digits_fit: Fit) -> None:
    expected = digits_fit.model.probabilities(digits.test.images[:1])[0]
    prediction = classifier.classify(digits.test.images[0].numpy())
    assert isinstance(prediction, Prediction)
    assert prediction.index == int(expected.argmax())
    assert prediction.label == digits.labels[prediction.index]
    assert prediction.probability == pytest.approx(float(expected.max()), abs=1e-5)
    assert prediction.top == [(prediction.label, prediction.probability)]
    values = prediction.label, prediction.probability, prediction.index, prediction.top
    assert [type(value) for value in values] == [str, float, int, list]
    assert pickle.loads(pickle.dumps(prediction)) == prediction != classifier.classify(digits.test.images[1].numpy())
    assert eval(repr(prediction)) == prediction


def test_the_best_first(classifier: Classifier, digits_fit: Fit, digits: Dataset) -> None:
    expected = digits_fit.model.probabilities(digits.test.images[:1])[0].sort(descending=True)
    top = classifier.classify(digits.test.images[0].numpy(), top_k=4).top
    assert [label for label, _ in top] == [digits.labels[index] for index in expected.indices[:4].tolist()]
    assert [probability for _, probability in top] == pytest.approx(expected.values[:4].tolist(), abs=1e-5)
    assert len(classifier.classify(digits.test.images[0].numpy(), top_k=99).top) == 10


@pytest.mark.parametrize("top_k", [0, -1, 1.5, None])
def test_top_k_out_of_range(classifier: Classifier, top_k: Any) -> None:
    with pytest.raises(InputError, match=re.escape(f"expected top_k of at least 1, got {top_k!r}")):
        classifier.classify(np.zeros((8, 8), np.uint8), top_k=top_k)
    with pytest.raises(InputError, match="expected top_k"):
        classifier.classify_batch([], top_k=top_k)


def test_a_batch_is_its_images_one_by_one(classifier: Classifier, pixels: Any, tmp_path: Path) -> None:
    Image.fromarray(pixels[2, :, :, 0]).save(tmp_path / "two.png")
    images = [pixels[0], pixels[1, :, :, 0], tmp_path / "two.png", Image.fromarray(pixels[3, :, :, 0])]
    batch = classifier.classify_batch(iter(images), top_k=3)
    for position, prediction in enumerate(batch):
        single = classifier.classify(pixels[position], top_k=3)
        assert (prediction.label, prediction.index) == (single.label, single.index)
        assert prediction.probability == pytest.approx(single.probability, abs=1e-6)
    assert len(batch) == 4
    assert classifier.classify_batch([]) == []


def test_a_bad_image_in_a_batch_is_named(classifier: Classifier) -> None:
    with pytest.raises(InputError, match="image 1: expected uint8 pixels 0-255, got float64"):
        classifier.classify_batch([np.zeros((8, 8), np.uint8), np.zeros((8, 8))])  # type: ignore[list-item]


@pytest.mark.parametrize("layout", ["strided", "transposed", "reversed", "read-only"])
def test_arrays_of_every_memory_layout(classifier: Classifier, pixels: Any, layout: str) -> None:
    expected = classifier.probabilities(pixels[:5])
    other = {
        "strided": np.repeat(pixels[:5], 2, axis=2)[:, :, ::2],
        "transposed": np.ascontiguousarray(pixels[:5].transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3),
        "reversed": np.ascontiguousarray(pixels[:5, ::-1])[:, ::-1],
        "read-only": np.frombuffer(pixels[:5].tobytes(), np.uint8).reshape(5, 8, 8, 1),
    }[layout]
    np.testing.assert_array_equal(classifier.probabilities(other), expected)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (np.zeros((2, 8, 8, 1), np.float32), "float32 [2, 8, 8, 1]"),
        (np.zeros((8, 8, 1), np.uint8), "uint8 [8, 8, 1]"),
        (np.zeros((2, 8, 8), np.uint8), "uint8 [2, 8, 8]"),
        (np.zeros((2, 8, 9, 1), np.uint8), "uint8 [2, 8, 9, 1]"),
        (np.zeros((2, 8, 8, 3), np.uint8), "uint8 [2, 8, 8, 3]"),
        ([[1]], "list"),
        (None, "NoneType"),
    ],
)
def test_pixels_that_do_not_fit(classifier: Classifier, value: Any, found: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"expected uint8 [N, 8, 8, 1], got {found}: classify_batch takes")):
        classifier.probabilities(value)


def test_labels_and_info(classifier: Classifier, checkpoint: Checkpoint) -> None:
    assert classifier.labels == tuple("0123456789")
    info = classifier.info()
    assert info["providers"] == ["CPUExecutionProvider"]
    assert info["provenance"]["checkpoint"] == checkpoint.digest()
    assert info["image"] == {"height": 8, "width": 8, "color": "L", "fit": "stretch", "filter": "bilinear"}


def test_the_self_test_passes(classifier: Classifier) -> None:
    assert 0 <= classifier.selftest() <= 1e-5


def test_the_self_test_finds_a_changed_weight(model: Path, tmp_path: Path) -> None:
    def edit(proto: onnx.ModelProto) -> None:
        bias = next(tensor for tensor in proto.graph.initializer if tensor.name == "bias")
        values = numpy_helper.to_array(bias).copy()
        values[3] += 0.01
        bias.CopyFrom(numpy_helper.from_array(values, "bias"))

    damaged = runtime.load(change(model, tmp_path / "m.onnx", edit))
    with pytest.raises(SelfTestError, match=r"expected golden example \d within 1e-05 of the trained model's prob"):
        damaged.selftest()


def test_load_runs_the_self_test_where_asked(model: Path, tmp_path: Path) -> None:
    assert runtime.load(model, selftest=True).labels

    def edit(proto: onnx.ModelProto) -> None:
        bias = next(tensor for tensor in proto.graph.initializer if tensor.name == "bias")
        bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias)[::-1].copy(), "bias"))

    with pytest.raises(SelfTestError, match=r"m.onnx: expected golden example"):
        runtime.load(change(model, tmp_path / "m.onnx", edit), selftest=True)


@pytest.mark.parametrize("name", ["onnx", "onnx-int8", "ort"])
def test_a_flipped_bit_is_found_at_load(name: str, exported: dict[str, Path]) -> None:
    """Any bit: in the weights, the graph, the metadata, the seal itself."""
    data = bytearray(exported[name].read_bytes())
    for position in np.random.default_rng(0).integers(0, 8 * len(data), 200).tolist():
        data[position // 8] ^= 1 << position % 8
        with pytest.raises(ArtefactError, match=r"these bytes: expected (the content|an artefact|an ONNX artefact)"):
            runtime.load(bytes(data))
        data[position // 8] ^= 1 << position % 8
    assert runtime.load(bytes(data)).selftest() < 0.05


def test_two_seals(model: Path) -> None:
    with pytest.raises(ArtefactError, match="found 2 seals in it"):
        runtime.load(model.read_bytes() + SEAL_START + UNSEALED)


def test_classify_opens_a_file_once_and_again_when_it_changes(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixels: Any
) -> None:
    opened = []

    def load(path: str) -> Classifier:
        opened.append(path)
        return runtime.load(path)

    monkeypatch.setattr("runtime.classifier.load", load)
    path = tmp_path / "m.onnx"
    shutil.copy(model, path)
    monkeypatch.chdir(tmp_path)
    first = runtime.classify(pixels[0], model="m.onnx")
    assert runtime.classify(pixels[0], model=path, top_k=2).label == first.label
    assert opened == [str(path)]
    os.utime(path, ns=(1, 1))
    assert runtime.classify(pixels[0], model=path) == first
    assert opened == [str(path)] * 2
    path.unlink()
    with pytest.raises(ArtefactError, match="No such file"):
        runtime.classify(pixels[0], model=path)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    message = (
        "absent.onnx: expected an artefact, found: No such file or directory: make one with `kit export --format onnx`"
    )
    with pytest.raises(ArtefactError, match=re.escape(message)):
        runtime.load(tmp_path / "absent.onnx")
    with pytest.raises(ArtefactError, match="found: Is a directory"):
        runtime.load(tmp_path)
    with pytest.raises(ArtefactError, match="embedded null byte"):
        runtime.load("nul\0.onnx")


@pytest.mark.parametrize("data", [b"", b"x", b"\0" * 1000, b"\xff" * 1000, b"\x89PNG\r\n\x1a\n" * 10])
def test_a_file_that_is_no_model(tmp_path: Path, data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(ArtefactError, match=r"m.onnx: expected an (ONNX file that onnxruntime|artefact made by)"):
        runtime.load(tmp_path / "m.onnx")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_artefact(model: Path, tmp_path: Path, share: float, capfd: pytest.CaptureFixture[str]) -> None:
    data = model.read_bytes()
    (tmp_path / "m.onnx").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ArtefactError):
        runtime.load(tmp_path / "m.onnx")
    assert capfd.readouterr() == ("", "")


def test_a_torchscript_artefact_is_not_for_this_runtime(exported: dict[str, Path]) -> None:
    with pytest.raises(ArtefactError, match="found a zip file, as torch writes: export with `--format onnx`"):
        runtime.load(exported["torchscript"])


def test_a_foreign_onnx_file(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "foreign",
        [value("x", TensorProto.FLOAT, [1])],
        [value("y", TensorProto.FLOAT, [1])],
    )
    foreign = helper.make_model(graph, ir_version=7, opset_imports=[helper.make_opsetid("", 13)])
    onnx.save(foreign, tmp_path / "m.onnx")
    message = "expected an artefact made by `kit export`, with a seal, found 0 seals in it: export it again"
    with pytest.raises(ArtefactError, match=re.escape(message)):
        runtime.load(tmp_path / "m.onnx")


def dimension(proto: onnx.ModelProto, axis: int, value: int) -> None:
    proto.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = value


def two_labels(proto: onnx.ModelProto) -> None:
    props = {prop.key: prop.value for prop in proto.metadata_props}
    helper.set_model_props(proto, props | {"kit.labels": '["a","b"]'})


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda proto: dimension(proto, 0, 1), "expected images: uint8 [N, 8, 8, 1] → probabilities: float32 [N, 10], "
         "found images: uint8 [1, 8, 8, 1]"),
        (two_labels, "kit.golden: expected 8×8×1 images with 2 probabilities each"),
        (lambda proto: setattr(proto, "ir_version", 99), "expected an ONNX file that onnxruntime"),
        (lambda proto: setattr(proto.opset_import[0], "version", 999), "expected an ONNX file that onnxruntime"),
        (lambda proto: setattr(proto.graph.node[0], "op_type", "NoSuch"), "expected an ONNX file that onnxruntime"),
    ],
)  # fmt: skip
def test_artefacts_that_contradict_themselves(model: Path, tmp_path: Path, edit: Any, message: str) -> None:
    with pytest.raises(ArtefactError, match=re.escape(message)):
        runtime.load(change(model, tmp_path / "m.onnx", edit))


def test_onnxruntime_is_opened_quietly(model: Path, tmp_path: Path) -> None:
    """No telemetry, nothing printed, nothing written to the user's folders, one thread."""
    code = """
import os
import numpy as np
import runtime
runtime.classify(np.zeros((8, 8), np.uint8), model=sys.argv[1])
print(os.environ["ORT_DISABLE_TELEMETRY"], len(os.listdir("/proc/self/task")))
"""
    environment = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "OPENBLAS_NUM_THREADS": "1"}
    result = run_python(code, model, environment=environment)
    assert (result.stdout, result.stderr) == ("1 1\n", "")
    assert list(tmp_path.iterdir()) == []


def test_predictions_raise_no_warning(classifier: Classifier) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier.classify_batch([np.full((8, 8), value, np.uint8) for value in (0, 255)], top_k=10)

"""Opening artefacts: good ones, and files that are damaged, foreign or contradictory."""

import importlib.resources
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import runtime
from runtime import ArtefactError, SelfTestError
from runtime.image import Pixels
from runtime.seal import EMPTY_SEAL
from tests.backends import UNREAD
from tests.formats import OPENED
from tests.runtime.given import change


def test_load_runs_the_self_test_where_asked(model: Path, tmp_path: Path) -> None:
    assert runtime.load(model, selftest=True).labels

    def edit(proto: onnx.ModelProto) -> None:
        bias = next(tensor for tensor in proto.graph.initializer if tensor.name == "bias")
        bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias)[::-1].copy(), "bias"))

    with pytest.raises(SelfTestError, match=r"m.onnx: expected golden example"):
        runtime.load(change(model, tmp_path / "m.onnx", edit), selftest=True)


@pytest.mark.parametrize("name", OPENED)
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
        runtime.load(model.read_bytes() + EMPTY_SEAL)


def test_bytes_instead_of_a_path(model: Path, images: Pixels) -> None:
    data = model.read_bytes()
    forms: list[Any] = [data, bytearray(data)]
    for form in forms:
        assert runtime.load(form).classify(images[0]) == runtime.load(model).classify(images[0])
    with pytest.raises(ArtefactError, match=r"^these bytes: expected an artefact made by `kit export`"):
        runtime.load(b"no model")
    with pytest.raises(ArtefactError, match=r"found b'models/m\.onnx': pass a path as a string$"):
        runtime.load(b"models/m.onnx")


def test_a_resource_of_a_package(model: Path, tmp_path: Path, images: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a zip file it has no path."""
    with zipfile.ZipFile(tmp_path / "lib.zip", "w") as file:
        file.writestr("boxed/__init__.py", "")
        file.writestr("boxed/m.onnx", model.read_bytes())
    monkeypatch.syspath_prepend(tmp_path / "lib.zip")
    folder = importlib.resources.files("boxed")
    expected = runtime.load(model).classify(images[0])
    assert runtime.load(folder / "m.onnx").classify(images[0]) == expected
    assert runtime.classify(images[0], model=folder / "m.onnx") == expected
    with pytest.raises(ArtefactError, match=r"lib\.zip/boxed/absent\.onnx: expected an artefact, found: "):
        runtime.load(folder / "absent.onnx")


def test_a_path_in_bytes(model: Path) -> None:
    """As os.scandir gives for a folder in bytes."""
    with os.scandir(bytes(model.parent)) as entries:
        entry = next(entry for entry in entries if entry.name == os.fsencode(model.name))
    assert runtime.load(entry).labels == runtime.load(model).labels  # type: ignore[arg-type]


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
    with pytest.raises(ArtefactError, match=r"m.onnx: expected an artefact made by"):
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
        (lambda proto: setattr(proto, "ir_version", 99), UNREAD),
        (lambda proto: setattr(proto.opset_import[0], "version", 999), UNREAD),
        (lambda proto: setattr(proto.graph.node[0], "op_type", "NoSuch"), UNREAD),
    ],
)  # fmt: skip
def test_artefacts_that_contradict_themselves(model: Path, tmp_path: Path, edit: Any, message: str) -> None:
    with pytest.raises(ArtefactError, match=re.escape(message)):
        runtime.load(change(model, tmp_path / "m.onnx", edit))

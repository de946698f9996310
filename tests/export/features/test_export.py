"""Artefacts of models on features: every format, what is in the file, and what is refused."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import runtime
from export import ExportError, LabelledImages, ParityError, export
from export.features.running import features_of
from export.formats import FORMATS
from export.gate.features import check_features
from export.gate.parity import reference_probabilities, regression
from runtime.artefact import Metadata
from runtime.decision import Decision
from runtime.digest import digest
from tests.export.features.graphs import IMAGE, LABELS, START, convolution, graph_of, on_features, pictures
from tests.formats import OF_FEATURES
from tests.interpreter import Kit, run_python
from trainer import Checkpoint, save_checkpoint
from trainer.data.features import Features

FLOATS = [name for name, kind in OF_FEATURES.items() if kind.agreement == 1]
RUN_HERE = [name for name, kind in FORMATS.items() if kind.runs_on == "onnxruntime"]
IMAGES = pictures(50, 7)


def expected(checkpoint: Checkpoint) -> np.ndarray[Any, Any]:
    assert checkpoint.features
    return regression(checkpoint, features_of(checkpoint.features, IMAGES).astype(np.float64))


@pytest.mark.parametrize("name", list(OF_FEATURES))
def test_it_answers_as_the_trained_model_and_gives_its_features(
    name: str, deep: Checkpoint, deep_exported: dict[str, Path]
) -> None:
    artefact = FORMATS[name].load().open_artefact(deep_exported[name])
    assert deep.features
    trained = features_of(deep.features, IMAGES)
    found, features = artefact.probabilities(IMAGES), artefact.embed(IMAGES)
    assert (found.dtype, features.dtype, features.shape) == (np.float32, np.float32, (50, 12))
    if name in FLOATS:
        np.testing.assert_allclose(found, expected(deep), rtol=0, atol=1e-5)
        np.testing.assert_allclose(features, trained, rtol=0, atol=1e-5)
    else:
        assert (found.argmax(axis=1) == expected(deep).argmax(axis=1)).mean() >= 0.9
        np.testing.assert_allclose(features, trained, rtol=0, atol=0.05 * trained.max())


@pytest.mark.parametrize("name", list(OF_FEATURES))
def test_the_same_bytes_twice(name: str, deep: Checkpoint, deep_exported: dict[str, Path], tmp_path: Path) -> None:
    path = export(deep, name, tmp_path / f"again{FORMATS[name].suffix}").path
    assert path.read_bytes() == deep_exported[name].read_bytes()


def test_the_onnx_file(deep: Checkpoint, deep_exported: dict[str, Path]) -> None:
    proto = onnx.load(deep_exported["onnx"])
    onnx.checker.check_model(proto, full_check=True)
    assert [node.op_type for node in proto.graph.node][-4:] == ["Flatten", "Sub", "Gemm", "Softmax"]
    assert (proto.ir_version, proto.opset_import[0].version) == (7, 13)
    assert [value.name for value in (*proto.graph.input, *proto.graph.output)] == [
        "images",
        "probabilities",
        "features",
    ]
    names = {tensor.name for tensor in proto.graph.initializer}
    assert {"centre", "weights", "bias", "features/centre", "features/weights"} <= names
    metadata = runtime.load(deep_exported["onnx"]).metadata
    assert deep.features
    assert (metadata.version, metadata.outputs) == ("2.0", ("features",))
    assert metadata.licences == ({"part": "weights of small", "licence": "Apache-2.0"},)
    assert metadata.provenance["features"] == {
        "name": "small",
        "size": 12,
        "digest": digest(deep.features.graph.tobytes()),
        "about": {"weights": {"licence": "Apache-2.0"}},
    }
    assert metadata.provenance["proof"]["given"] == "features"


def test_the_8_bit_file_says_how_it_was_made(deep_exported: dict[str, Path]) -> None:
    found = runtime.load(deep_exported["onnx-int8"]).metadata
    assert set(found.provenance["features"]["int8"]) == {"images", "reduce_range", "onnxruntime"}
    assert found.golden.tolerance == 0.3
    kinds = {node.op_type for node in onnx.load(deep_exported["onnx-int8"]).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear", "Gemm"} <= kinds


def test_golden_images_are_few_where_they_are_large(
    deep: Checkpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("export.description.LARGEST_GOLDEN", 3 * IMAGE.height * IMAGE.width * 3)
    monkeypatch.setattr("export.description.LARGE", 0)
    golden = runtime.load(export(deep, "onnx", tmp_path / "model.onnx").path).metadata.golden
    assert (len(golden.images), golden.encoding) == (3, "png-rows")


@pytest.mark.spawns
def test_no_torch_is_needed(deep: Checkpoint, deep_exported: dict[str, Path], tmp_path: Path) -> None:
    save_checkpoint(deep, tmp_path / "model.safetensors")
    code = "import kit\nkit.main(['export', 'model.safetensors', '--format', 'onnx', '--format', 'onnx-int8'])"
    result = run_python(code, cwd=tmp_path, without=["torch", "torchvision", "sklearn", "tqdm", "PIL"])
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "model.onnx").read_bytes() == deep_exported["onnx"].read_bytes()


def test_a_decision_is_in_the_graph(deep: Checkpoint, tmp_path: Path) -> None:
    changed = replace(deep, decision=Decision(temperature=2.0, bias=(0.5, 0.0, -0.5)))
    found = runtime.load(export(changed, "onnx", tmp_path / "model.onnx").path)
    np.testing.assert_allclose(found.probabilities(IMAGES), expected(changed), rtol=0, atol=1e-5)
    assert found.selftest() < 1e-5


def test_features_that_are_neither_centred_nor_scaled(deep: Checkpoint, tmp_path: Path) -> None:
    plain = replace(deep, centre=None, scale=None)
    plain = replace(plain, golden_probabilities=reference_probabilities(plain, deep.golden_images).astype(np.float32))
    found = runtime.load(export(plain, "onnx", tmp_path / "model.onnx").path)
    np.testing.assert_allclose(found.probabilities(IMAGES), expected(plain), rtol=0, atol=1e-5)


def test_the_graph_decides_the_opset(tmp_path: Path) -> None:
    newer = on_features(convolution(opset=20))
    path = export(newer, "onnx", tmp_path / "model.onnx", opset=20, target_ort="1.17").path
    assert (onnx.load(path).ir_version, onnx.load(path).opset_import[0].version) == (7, 20)
    with pytest.raises(
        ExportError,
        match=r"expected a features graph of opset 13 to 18, which onnxruntime 1\.15 loads, found opset 20 in 'small': "
        r"its file needs onnxruntime 1\.17 or newer",
    ):
        export(newer, "onnx", tmp_path / "model.onnx", target_ort="1.15")
    with pytest.raises(ExportError, match="expected the opset of the features graph 'small', 20, found 13: leave it"):
        export(newer, "onnx", tmp_path / "model.onnx", opset=13)


@pytest.mark.parametrize("name", ["torchscript", "pt2"])
def test_a_users_own_graph_is_refused_for_torch(name: str, tmp_path: Path) -> None:
    own = on_features(convolution()._replace(about={"own": True}))
    with pytest.raises(
        ExportError, match=r"^expected a features graph of softmax-kit's own .* found 'small'.*export to onnx$"
    ):
        export(own, name, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
    assert runtime.load(export(own, "onnx", tmp_path / "model.onnx").path).metadata.licences == ()


def test_operators_that_torch_does_not_have(tmp_path: Path) -> None:
    nodes = [
        *START,
        helper.make_node("Sin", ["pixels"], ["y"]),
        helper.make_node("Flatten", ["y"], ["features"], axis=1),
    ]
    checkpoint = on_features(graph_of(nodes, {}, 192))
    with pytest.raises(ExportError, match="expected a features graph that torch computes too, found Sin in 'small'"):
        export(checkpoint, "torchscript", tmp_path / "model.pt")
    assert export(checkpoint, "onnx", tmp_path / "model.onnx").parity.max_difference < 1e-5


def broken(checkpoint: Checkpoint, change: str) -> Checkpoint:
    """The same checkpoint with golden probabilities of another, or with another scale."""
    if change == "golden":
        return replace(checkpoint, golden_probabilities=checkpoint.golden_probabilities[::-1].copy())
    if change == "weights":
        return replace(checkpoint, weights=checkpoint.weights * np.float32(1.01))
    assert checkpoint.centre is not None
    return replace(checkpoint, centre=checkpoint.centre + np.float32(0.01))


@pytest.mark.parametrize("name", ["onnx", "torchscript", "onnx-int8"])
@pytest.mark.parametrize("change", ["weights", "centre"])
def test_a_wrong_head_is_never_kept(
    name: str, change: str, deep: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = FORMATS[name].load()
    write = module.write

    def corrupted(numbers: Any, metadata: Metadata, target: Any) -> bytes:
        data: bytes = write(replace(numbers, **{change: getattr(broken(deep, change), change)}), metadata, target)
        return data

    monkeypatch.setattr(module, "write", corrupted)
    with pytest.raises(ParityError, match="expected probabilities within 1e-05 of its own numbers'"):
        export(deep, name, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_golden_examples_of_another_model_are_found(deep: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(ParityError, match=r"of the trained model's and the same labels, .* for golden example"):
        export(broken(deep, "golden"), "onnx", tmp_path / "model.onnx")


def test_a_graph_that_float32_computes_wrongly(tmp_path: Path) -> None:
    """It loses what the features are in a large number."""
    nodes = [
        *START,
        helper.make_node("Add", ["pixels", "large"], ["sums"]),
        helper.make_node("Sub", ["sums", "large"], ["y"]),
        helper.make_node("Flatten", ["y"], ["features"], axis=1),
    ]
    checkpoint = on_features(graph_of(nodes, {"large": np.array(2**28, np.float32)}, 192))
    with pytest.raises(ParityError, match="of the trained model's, in float64 and the same labels"):
        export(checkpoint, "onnx", tmp_path / "model.onnx")


def test_the_metadata_reads_back(deep: Checkpoint, deep_exported: dict[str, Path]) -> None:
    artefact = runtime.load(deep_exported["onnx"])
    numbers, gate = FORMATS["onnx"].load().prepare(deep), FORMATS["onnx"]
    with pytest.raises(ParityError, match="expected the metadata to read back as written"):
        check_features(artefact, artefact.metadata._replace(labels=LABELS[::-1]), deep, numbers, gate)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (Features("bad", 3, np.arange(9, dtype=np.uint8), {}), "found one that onnx refuses"),
        (
            graph_of([helper.make_node("Cast", ["images"], ["other"], to=TensorProto.FLOAT)], {}),
            "found one that onnx refuses",
        ),
        (
            graph_of(
                [*START, helper.make_node("Gelu", ["pixels"], ["features"], domain="com.microsoft")],
                {},
            ),
            "found operators of com.microsoft|onnx refuses",
        ),
    ],
)
def test_graphs_that_no_artefact_can_hold(features: Features, message: str, deep: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=f"expected a features graph of standard operators from images.*{message}"):
        export(replace(deep, features=features), "onnx", tmp_path / "model.onnx")


def test_a_graph_that_does_not_give_its_size(deep: Checkpoint, tmp_path: Path) -> None:
    assert deep.features
    wrong = replace(deep, features=deep.features._replace(size=11))
    with pytest.raises(ExportError, match=re.escape("expected the features graph 'small' to give [N, 11] features")):
        export(wrong, "onnx", tmp_path / "model.onnx")


def test_it_is_verified_on_data(deep: Checkpoint, tmp_path: Path) -> None:
    data = LabelledImages(name="more", labels=LABELS, images=IMAGES, targets=expected(deep).argmax(axis=1))
    found = export(deep, "onnx", tmp_path / "model.onnx", verify_on=data).verification
    assert found
    assert (found.images, found.label_flips, found.accuracy, found.certain) == (50, 0, 1.0, 1.0)


def test_kit_export_says_what_is_proved_and_what_8_bits_cost(deep: Checkpoint, tmp_path: Path, run_kit: Kit) -> None:
    save_checkpoint(deep, tmp_path / "model.safetensors")
    result = run_kit("export", tmp_path / "model.safetensors", "--format", "onnx", "--format", "onnx-int8")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "certain, and the largest logit error, of onnx, onnx-int8: given the features" in result.stdout
    said = r"onnx-int8 is an approximation: \d+\.\d% of the labels of 46 real images.* at most \d\.\d points lower"
    assert re.search(said, result.stdout)
    assert "onnx is an" not in result.stdout

"""What all formats share: the same bytes each time, any opset that the device loads, verification on a data set."""

import dataclasses
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import runtime
from export import ExportError, LabelledImages, ParityError, export
from export.formats import FORMATS
from export.formats.compatibility import release
from runtime.session import onnxruntime
from tests.interpreter import Kit, run_python
from trainer import Checkpoint, Dataset, save_checkpoint

ROOT = Path(__file__).parents[2]
PACKAGES = ("export", "runtime", "trainer")
FOR_ONNXRUNTIME = [name for name, kind in FORMATS.items() if kind.runs_on == "onnxruntime"]
FOR_TORCH = [name for name, kind in FORMATS.items() if kind.runs_on == "torch"]
NEWEST = release(onnxruntime().__version__).opset


@pytest.fixture(scope="session")
def labelled(digits: Dataset) -> LabelledImages:
    return LabelledImages(
        name="digits", labels=digits.labels, images=digits.test.images.numpy(), targets=digits.test.targets.numpy()
    )


def test_the_same_bytes_each_time(checkpoint: Checkpoint, exported: dict[str, Path], tmp_path: Path) -> None:
    """In other processes, folders and hash seeds, from the kit installed elsewhere, and twice in one process."""
    save_checkpoint(checkpoint, tmp_path / "model.safetensors")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / "elsewhere" / package)
    code = """
import export.exporting
from export.formats import FORMATS
from trainer import load_checkpoint
for _ in range(2):
    for name in FORMATS:
        export.export(load_checkpoint(sys.argv[1]), name, f"{name}{_}")
print(export.__file__)
"""
    for seed, place in (("1", "."), ("2", "elsewhere")):
        folder = tmp_path / seed
        folder.mkdir()
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(tmp_path / place)}
        result = run_python(code, tmp_path / "model.safetensors", cwd=folder, environment=environment)
        assert result.returncode == 0, result.stderr
        assert result.stdout.startswith(str(tmp_path)) == (place == "elsewhere")
        for name, path in exported.items():
            for number in range(2):
                assert (folder / f"{name}{number}").read_bytes() == path.read_bytes(), name


@pytest.mark.parametrize("name", list(FORMATS))
def test_nothing_of_this_machine_in_it(name: str, exported: dict[str, Path]) -> None:
    path = exported[name]
    contents = [path.read_bytes()]
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            assert {item.date_time[0] for item in file.infolist()} == {1980}
            contents += [file.read(name) for name in file.namelist()]
    for content in contents:
        for place in (ROOT, path.parent, Path.home(), "site-packages"):
            assert str(place).encode() not in content


@pytest.mark.parametrize("name", FOR_ONNXRUNTIME)
@pytest.mark.parametrize("opset", range(13, NEWEST + 1))
def test_every_opset_that_onnxruntime_loads(name: str, opset: int, checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = export(checkpoint, name, tmp_path / "model", opset=opset).path
    assert runtime.load(path).selftest() < FORMATS[name].tolerance
    if name != "ort":
        proto = onnx.load(path)
        assert (proto.ir_version, proto.opset_import[0].version) == (7, opset)


@pytest.mark.parametrize("opset", [12, NEWEST + 1, 0, -1])
def test_opsets_out_of_range(opset: int, checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=rf"expected an opset from 13 to {NEWEST}, which onnxruntime .* loads, found"):
        export(checkpoint, "onnx", tmp_path / "model.onnx", opset=opset)


def test_an_older_onnxruntime_limits_the_opset(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = export(checkpoint, "onnx", tmp_path / "model.onnx", target_ort="1.15").path
    proto = onnx.load(path)
    assert (proto.ir_version, proto.opset_import[0].version) == (7, 13)
    newest = release("1.15").opset
    with pytest.raises(ExportError, match=f"from 13 to {newest}, which onnxruntime 1.15 loads, found {newest + 1}"):
        export(checkpoint, "onnx", tmp_path / "model.onnx", target_ort="1.15", opset=newest + 1)


def test_no_such_file_for_an_older_onnxruntime(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"expected an ort file for onnxruntime 1\.15, found that it does not load"):
        export(checkpoint, "ort", tmp_path / "model.ort", target_ort="1.15")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FOR_TORCH)
@pytest.mark.parametrize("keywords", [{"opset": 13}, {"target_ort": "1.15"}])
def test_no_opset_without_onnxruntime(
    name: str, keywords: dict[str, Any], checkpoint: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=f"expected no opset and no onnxruntime version for {name}, which torch"):
        export(checkpoint, name, tmp_path / "model", **keywords)


@pytest.mark.parametrize("name", list(FORMATS))
def test_the_proof_goes_along(name: str, checkpoint: Checkpoint, exported: dict[str, Path], tmp_path: Path) -> None:
    proof = export(checkpoint, name, tmp_path / "model").proof
    assert proof
    assert (proof.images, proof.certain > 0.98) == (10 + 1024, True)
    metadata = FORMATS[name].load().open_artefact(exported[name]).metadata
    assert metadata.provenance["proof"] == dataclasses.asdict(proof)


@pytest.mark.parametrize("name", list(FORMATS))
def test_verification_on_a_data_set(
    name: str,
    checkpoint: Checkpoint,
    labelled: LabelledImages,
    tmp_path: Path,
) -> None:
    report = export(checkpoint, name, tmp_path / "model", verify_on=labelled)
    found = report.verification
    assert found
    probabilities = FORMATS[name].load().open_artefact(report.path).probabilities(labelled.images)
    assert (found.data, found.images) == ("digits", 360)
    assert found.accuracy == (probabilities.argmax(axis=1) == labelled.targets).mean()
    assert found.trained_accuracy == pytest.approx(checkpoint.provenance["figures"]["test_accuracy"], abs=1e-9)
    assert found.certain is not None
    assert 0.98 < found.certain <= 1 - found.label_flips / 360


def test_verification_is_part_of_the_gate(
    checkpoint: Checkpoint, labelled: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = runtime.Classifier.probabilities
    odd = labelled.images[200]

    def wrong_on_one(self: runtime.Classifier, pixels: np.ndarray) -> np.ndarray:
        found = right(self, pixels)
        found[(pixels == odd).all(axis=(1, 2, 3))] += 1e-3
        return found

    monkeypatch.setattr(runtime.Classifier, "probabilities", wrong_on_one)
    with pytest.raises(ParityError, match=r"found a difference of 0\.001 for image 200 of digits"):
        export(checkpoint, "onnx", tmp_path / "model.onnx", verify_on=labelled)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": tuple("abcdefghij")},
        {"images": np.zeros((360, 9, 8, 1), np.uint8)},
        {"images": np.zeros((0, 8, 8, 1), np.uint8)},
    ],
)
def test_verification_on_other_data(
    changes: dict[str, Any], checkpoint: Checkpoint, labelled: LabelledImages, tmp_path: Path
) -> None:
    other = dataclasses.replace(labelled, **changes)
    with pytest.raises(ExportError, match=r"expected images .* of the model's 10 classes .*, found"):
        export(checkpoint, "onnx", tmp_path / "model.onnx", verify_on=other)


def test_the_command_line(run_kit: Kit, checkpoint: Checkpoint) -> None:
    save_checkpoint(checkpoint, "runs/digits/model.safetensors")
    formats = [part for name in FORMATS for part in ("--format", name)]
    result = run_kit("export", *formats, "--verify-on", "digits", "--json")
    assert result.exit_code == 0
    reports = json.loads(result.stdout)
    assert [report["format"] for report in reports] == list(FORMATS)
    for report in reports:
        assert Path(report["path"]).name == f"model{FORMATS[report['format']].suffix}"
        assert report["size"] == Path(report["path"]).stat().st_size
        assert report["verification"]["images"] == 360
        assert report["proof"]["certain"] > 0.98
    lines = run_kit("export", "--verify-on", "digits", "--target-ort", "1.15").stdout.splitlines()
    assert lines[2].startswith("onnx on 360 images of digits: accuracy 0.9")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--opset", "12"], "kit: expected an opset from 13 to"),
        (["--target-ort", "new"], "kit: expected a version of onnxruntime"),
        (["--target-ort", "1.2"], "kit: expected onnxruntime 1.15 or newer, found 1.2"),
        (["--format", "pt2", "--target-ort", "1.20"], "kit: expected no opset and no onnxruntime version for pt2"),
        (["--verify-on", "shoes"], "kit: expected one of fashion-mnist,"),
    ],
)
def test_what_cannot_be_done(run_kit: Kit, checkpoint: Checkpoint, arguments: list[str], message: str) -> None:
    save_checkpoint(checkpoint, "runs/digits/model.safetensors")
    result = run_kit("export", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr
    assert [path.name for path in Path("runs/digits").iterdir()] == ["model.safetensors"]

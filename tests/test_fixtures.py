"""What earlier versions wrote is still read: checkpoints and artefacts in tests/fixtures, where make.py tells of them.

Files for onnxruntime of format 1.0 have no seal. They are refused since 1.1 came, with a word on what to do.
"""

import hashlib
import json
import zipfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import runtime
from export import export
from export.formats import FORMATS
from tests.fixtures.make import CHANNELS, EXPORTED, LABELS, UNFINISHED, dataset, outcome, questions
from tests.interpreter import Kit
from trainer import fit, load_checkpoint

FOLDER = Path(__file__).parent / "fixtures"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
VERSIONS = ("1.0", "1.1")
PAIRS = [(name, kind) for name, kinds in EXPORTED.items() for kind in kinds]
ARTEFACTS = [(folder, *pair) for folder in VERSIONS for pair in PAIRS]
# The packages that have a say in a format's bytes; onnx and onnx-int8 are written alike by all. TorchScript names the
# kit's module too, export/raw_pixels.py: elsewhere it would give other bytes.
BYTES_DEPEND_ON = {"ort": "onnxruntime", "torchscript": "torch", "pt2": "torch"}
TOLERANCE = 1e-5


def artefact(folder: str, name: str, kind: str) -> Path:
    return FOLDER / folder / f"{name}{FORMATS[kind].suffix}"


def version_in(path: Path) -> Any:
    """The format's version as the file has it, read without the kit."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            (entry,) = (name for name in file.namelist() if name.endswith("/kit.json"))
            return json.loads(file.read(entry))["version"]
    about = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_modelmeta()
    return json.loads(about.custom_metadata_map["kit.version"])


def test_every_fixture_is_as_it_was_made() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    found = {path.relative_to(FOLDER).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    assert {name: found[name] for name in found if name not in ("make.py", "expected.json")} == EXPECTED["sha256"]
    paths = {artefact(*item).relative_to(FOLDER).as_posix() for item in ARTEFACTS}
    assert paths == EXPECTED["answers"].keys()
    assert paths | {f"{name}.safetensors" for name in CHANNELS} == EXPECTED["sha256"].keys()
    assert max(path.stat().st_size for path in files) < 20_000


@pytest.mark.parametrize("name", CHANNELS)
def test_a_checkpoint_is_read_and_written_as_it_was(name: str) -> None:
    path, channels = FOLDER / f"{name}.safetensors", CHANNELS[name]
    checkpoint = load_checkpoint(path)
    assert checkpoint.labels == LABELS
    assert checkpoint.image.shape == (6, 5, channels)
    assert checkpoint.weights.shape == (30 * channels, 3)
    assert checkpoint.bias.shape == (3,)
    assert np.array_equal(checkpoint.golden_images, dataset(channels).test.images[:3])
    assert checkpoint.provenance["data"] == {"name": "tiny", "train_images": 90, "test_images": 30}
    assert (checkpoint.progress is not None, bool(checkpoint.state)) == (name in UNFINISHED, name in UNFINISHED)
    assert checkpoint.to_bytes() == path.read_bytes()
    assert checkpoint.digest() == f"sha256:{EXPECTED['sha256'][path.name]}"


@pytest.mark.parametrize("name", UNFINISHED)
def test_an_unfinished_fit_goes_on_to_the_same_end(name: str) -> None:
    """The SGD fit ends with the weights of its first epoch, its best; its history tells where the others led."""
    result = fit(dataset(CHANNELS[name]), UNFINISHED[name], resume=load_checkpoint(FOLDER / f"{name}.safetensors"))
    assert result.finished
    now, then = outcome(result), EXPECTED["resumed"][name]
    for part in ("weights", "bias"):
        assert np.abs(np.subtract(now[part], then[part])).max() <= TOLERANCE
    assert len(now["history"]) == len(then["history"])
    for row, before in zip(now["history"], then["history"], strict=True):
        assert row == pytest.approx(before, abs=TOLERANCE)


@pytest.mark.parametrize(("folder", "name", "kind"), ARTEFACTS)
def test_an_artefact_answers_as_it_did(folder: str, name: str, kind: str) -> None:
    path = artefact(folder, name, kind)
    assert version_in(path) == folder
    opened = FORMATS[kind].load().open_artefact(path)
    metadata, images = opened.metadata, questions(CHANNELS[name])
    assert metadata.labels == LABELS
    assert metadata.image.shape == images.shape[1:]
    assert (metadata.pixel_statistics.appearance is None) == (folder == "1.0")
    assert metadata.provenance["checkpoint"] == f"sha256:{EXPECTED['sha256'][f'{name}.safetensors']}"
    then = np.array(EXPECTED["answers"][path.relative_to(FOLDER).as_posix()])
    assert np.abs(opened.probabilities(images) - then).max() <= TOLERANCE


@pytest.mark.parametrize(
    ("folder", "name", "kind"), [item for item in ARTEFACTS if FORMATS[item[2]].runs_on == "onnxruntime"]
)
def test_the_runtime_classifies_with_an_artefact(folder: str, name: str, kind: str) -> None:
    path = artefact(folder, name, kind)
    classifier = runtime.load(path)
    assert classifier.labels == LABELS
    assert classifier.selftest() <= classifier.metadata.golden.tolerance
    then = EXPECTED["answers"][path.relative_to(FOLDER).as_posix()]
    for image, probabilities in zip(questions(CHANNELS[name]), then, strict=True):
        prediction = classifier.classify(image)
        assert prediction.index == np.argmax(probabilities)
        assert prediction.label == LABELS[prediction.index]
        assert abs(prediction.probability - max(probabilities)) <= TOLERANCE


@pytest.mark.parametrize(("folder", "name", "kind"), ARTEFACTS)
def test_kit_inspect_describes_an_artefact(folder: str, name: str, kind: str, run_kit: Kit) -> None:
    path = artefact(folder, name, kind)
    result = run_kit("inspect", path, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert found["format"] == kind
    assert found["labels"] == list(LABELS)
    assert found["image"] == asdict(load_checkpoint(FOLDER / f"{name}.safetensors").image)
    assert found["golden"]["examples"] == 3
    assert found["digest"] == f"sha256:{EXPECTED['sha256'][path.relative_to(FOLDER).as_posix()]}"
    assert run_kit("inspect", path).exit_code == 0


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_the_same_checkpoint_gives_the_same_bytes(name: str, kind: str, tmp_path: Path) -> None:
    if package := BYTES_DEPEND_ON.get(kind):
        here, then = version(package), EXPECTED["versions"][package]
        if here != then:
            pytest.skip(f"the bytes of {kind} depend on {package}: {then} wrote the fixture, {here} is installed")
    path = artefact(VERSIONS[-1], name, kind)
    export(load_checkpoint(FOLDER / f"{name}.safetensors"), kind, tmp_path / path.name)
    assert (tmp_path / path.name).read_bytes() == path.read_bytes()

"""Decisions in the exported files: the same in every format, compared by the gate, and proved."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import runtime
from export import ParityError, export
from export.exporting import gate_for
from export.formats import FORMATS
from export.gate.familiarity import check_familiarity
from export.gate.parity import compare, reference_probabilities
from runtime.decided import accepted
from runtime.decision import Decision, PredictionSet, Threshold
from tests.formats import ALL
from tests.interpreter import Kit
from trainer import Checkpoint, Dataset, FitConfig, fit, save_checkpoint

DECISION = Decision(
    temperature=0.8,
    thresholds=(Threshold(0.75, None, 0.02, 0.95, 360, 0.9), Threshold(0.1, "3", 0.01, 0.95, 360, 0.9)),
    sets=(PredictionSet(0.9, 0.2, 360),),
)


@pytest.fixture(scope="module")
def deciding(checkpoint: Checkpoint) -> Checkpoint:
    return dataclasses.replace(checkpoint, decision=DECISION)


@pytest.mark.parametrize("name", ALL)
def test_each_format_decides_alike(name: str, deciding: Checkpoint, digits: Dataset, tmp_path: Path) -> None:
    images = digits.test.images.numpy()
    report = export(deciding, name, tmp_path / f"model{FORMATS[name].suffix}")
    opened = FORMATS[name].load().open_artefact(report.path)
    assert opened.metadata.decision == DECISION
    found, due = opened.probabilities(images), reference_probabilities(deciding, images)
    same = accepted(found, DECISION.thresholds, deciding.labels) == accepted(due, DECISION.thresholds, deciding.labels)
    assert same.mean() == 1 if name != "onnx-int8" else same.mean() > 0.98
    assert report.proof is not None
    assert report.proof.decided is not None
    assert report.proof.decided > (0.9 if name != "onnx-int8" else 0.3)
    assert opened.metadata.provenance["proof"]["decided"] == report.proof.decided
    assert report.parity.decision_flips <= 0.01 * report.parity.images


def test_a_model_without_thresholds_proves_no_decision(checkpoint: Checkpoint, tmp_path: Path) -> None:
    report = export(checkpoint, "onnx", tmp_path / "model.onnx")
    assert report.proof is not None
    assert report.proof.decided is None
    assert "decided" not in report.proof.to_json()


LABELS = ("a", "b")
EXPECTED = np.array([[0.9, 0.1], [0.8, 0.2], [0.7502, 0.2498], [0.3, 0.7]])


def test_the_gate_counts_decisions() -> None:
    gate = gate_for(0.001, thresholds=(Threshold(0.75, None, 0.02, 0.95, 9, 0.5),))
    names = ["first", "second", "third", "fourth"]
    near = EXPECTED + np.array([[0, 0], [0, 0], [-0.0004, 0.0004], [0, 0]])
    assert compare(near, EXPECTED, names, LABELS, gate).decision_flips == 0  # within the tolerance of its threshold
    wide = dataclasses.replace(gate, tolerance=0.1, agreement=0.75)
    far = EXPECTED + np.array([[0, 0], [-0.06, 0.06], [0, 0], [0, 0]])
    assert compare(far, EXPECTED, names, LABELS, wide).decision_flips == 1
    with pytest.raises(ParityError, match="and 0 labels that differ, and 1 decisions, first for second: "):
        compare(far, EXPECTED, names, LABELS, dataclasses.replace(wide, agreement=0.99))


@pytest.fixture(scope="module")
def familiar(digits: Dataset) -> Checkpoint:
    config = FitConfig(device="cpu", max_error=0.05, familiarity=True)
    return fit(digits, config).checkpoint


@pytest.mark.parametrize("name", ALL)
def test_familiarity_is_in_files_for_onnxruntime(
    name: str, familiar: Checkpoint, digits: Dataset, tmp_path: Path
) -> None:
    path = export(familiar, name, tmp_path / f"model{FORMATS[name].suffix}").path
    metadata = FORMATS[name].load().open_artefact(path).metadata
    assert metadata.has_familiarity == (FORMATS[name].runs_on == "onnxruntime")
    if not metadata.has_familiarity:
        return
    classifier = runtime.load(path)
    images, noise = digits.test.images.numpy(), np.random.default_rng(0).integers(0, 256, (100, 8, 8, 1), np.uint8)
    assert np.mean([one.familiar for one in classifier.classify_batch(images)]) > 0.95
    assert np.mean([one.familiar for one in classifier.classify_batch(noise)]) < 0.05
    assert classifier.classify(np.zeros((8, 8), np.uint8)).familiar is False
    assert classifier.selftest() < metadata.golden.tolerance


def test_another_familiarity_is_found_out(familiar: Checkpoint, tmp_path: Path) -> None:
    data = export(familiar, "onnx", tmp_path / "model.onnx").path.read_bytes()
    assert familiar.familiarity is not None
    model = onnx.load_model_from_string(familiar.familiarity.tobytes())
    shares = next(tensor for tensor in model.graph.initializer if tensor.name == "residual_shares")
    shares.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(shares) * np.float32(1.01), "residual_shares"))
    changed = dataclasses.replace(familiar, familiarity=np.frombuffer(model.SerializeToString(), np.uint8))
    check_familiarity(data, familiar, gate_for(1e-5))
    with pytest.raises(ParityError, match="expected the familiarity of the trained model"):
        check_familiarity(data, changed, gate_for(1e-5))


def test_kit_export_says_what_is_certain(deciding: Checkpoint, run_kit: Kit, tmp_path: Path) -> None:
    save_checkpoint(deciding, tmp_path / "model.safetensors")
    text = run_kit("export", "model.safetensors", "--verify-on", "digits").stdout
    assert "onnx accepts the answers that the trained model does: 0 of " in text
    assert "; 0 decisions differ, " in text
    (report,) = json.loads(run_kit("export", "model.safetensors", "--verify-on", "digits", "--json").stdout)
    assert report["verification"]["decided"] > 0.9
    assert report["proof"]["decided"] > 0.9

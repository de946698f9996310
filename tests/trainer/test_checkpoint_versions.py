"""Version 3 of the checkpoint: centre and scale, features, decisions; what needs none of it stays version 2."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from export import ExportError, export
from export.gate.parity import reference_probabilities
from runtime import ImageContract, load
from runtime.decision import Decision, Familiarity, PredictionSet, Threshold
from trainer import Checkpoint, CheckpointError, Dataset, Fit, FitConfig, fit, load_checkpoint, save_checkpoint
from trainer.data.features import Features

DECISION = Decision(
    temperature=1.7,
    bias=tuple(np.linspace(-0.5, 0.5, 10).tolist()),
    thresholds=(Threshold(0.75, None, 0.02, 0.95, 360, 0.9), Threshold(0.1, "3", 0.01, 0.95, 360, 0.9)),
    sets=(PredictionSet(0.9, 0.2, 360),),
    familiarity=Familiarity(-1.0, 0.01, 360),
)
GRAPH = Features("net", 7, np.arange(50, dtype=np.uint8), {"licence": "Apache-2.0"})


@pytest.fixture
def scaled(checkpoint: Checkpoint) -> Checkpoint:
    """The same model, on pixels that have a centre and a scale of their own."""
    rng = np.random.default_rng(0)
    centre, scale = rng.uniform(0, 255, 64), rng.uniform(1, 90, 64)
    mean, std = checkpoint.scaling()
    weights = checkpoint.weights / std[:, None]
    bias = checkpoint.bias + ((centre - mean)[:, None] * weights).sum(axis=0)
    return dataclasses.replace(
        checkpoint,
        weights=(weights * scale[:, None]).astype(np.float32),
        bias=bias.astype(np.float32),
        centre=centre.astype(np.float32),
        scale=scale.astype(np.float32),
    )


def later(checkpoint: Checkpoint, name: str) -> Checkpoint:
    """A checkpoint with something of version 3."""
    ones = np.ones(64, np.float32)
    changes: dict[str, dict[str, Any]] = {
        "scaling": {"centre": ones * 3, "scale": ones * 9},
        "features": {"features": GRAPH, "weights": np.ones((7, 10), np.float32)},
        "scaled features": {"features": GRAPH, "weights": np.ones((7, 10), np.float32)}
        | {"centre": ones[:7], "scale": ones[:7]},
        "decision": {"decision": DECISION, "familiarity": GRAPH.graph},
        "fit": {"image": dataclasses.replace(checkpoint.image, fit="pad", fill=(9,), shift=0)},
    }
    return dataclasses.replace(checkpoint, **changes[name])


def description(path: Path) -> dict[str, Any]:
    with safetensors.safe_open(path, framework="numpy") as file:
        found: dict[str, Any] = json.loads(file.metadata()["kit"])
    return found


@pytest.mark.parametrize("name", ["scaling", "features", "scaled features", "decision", "fit"])
def test_what_is_written_is_read(name: str, checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    written = later(checkpoint, name)
    save_checkpoint(written, path)
    assert description(path)["version"] == 3
    found = load_checkpoint(path)
    assert (found.image, found.decision) == (written.image, written.decision)
    for part in ("weights", "centre", "scale"):
        np.testing.assert_array_equal(getattr(found, part), getattr(written, part))
    assert (found.features is None) == (written.features is None)
    if found.features and written.features:
        assert found.features._replace(graph=GRAPH.graph) == written.features
        np.testing.assert_array_equal(found.features.graph, GRAPH.graph)
    assert found.to_bytes() == path.read_bytes()


def test_what_needs_nothing_of_it_stays_version_2(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(checkpoint, tmp_path / "c")
    assert description(tmp_path / "c")["version"] == 2
    assert set(description(tmp_path / "c")) == {"version", "labels", "image", "provenance", "progress"}


@pytest.mark.parametrize(
    ("name", "tensors", "changes", "message"),
    [
        ("scaling", {"scale": None}, {}, "'scale'"),
        ("scaling", {"centre": None}, {}, "'centre'"),
        ("scaling", {"scale": np.zeros(64, np.float32)}, {}, "std or scale that is not above 0"),
        ("scaling", {"scale": np.ones(63, np.float32)}, {}, "scale is float32 [63], expected float32 [64]"),
        ("scaling", {"centre": np.full(64, np.nan, np.float32)}, {}, "centre holds values that are not finite"),
        ("features", {"features_graph": None}, {}, "'features_graph'"),
        ("features", {"features_graph": np.zeros(0, np.uint8)}, {}, "features_graph is uint8 [0], expected uint8 [B]"),
        ("features", {"features_graph": np.ones(5, np.float32)}, {}, "features_graph is float32 [5], expected uint8"),
        ("features", {}, {"features": 5}, "int"),
        ("features", {}, {"features": {"name": "", "size": 7, "about": {}}}, "features of name '' and size 7"),
        ("features", {}, {"features": {"name": "net", "size": 0, "about": {}}}, "features of name 'net' and size 0"),
        ("features", {}, {"features": {"name": "net", "size": 8, "about": {}}}, "weights is float32 [7, 10], expected"),
        ("decision", {}, {"decision": {}}, "'bias'"),
        ("decision", {}, {"decision": DECISION._replace(bias=(1.0,)).to_json()}, "out of range"),
        ("decision", {}, {"decision": DECISION._replace(temperature=0.0).to_json()}, "out of range"),
        ("decision", {}, {"decision": DECISION._replace(temperature=10**400).to_json()}, "out of range"),
        ("fit", {}, {"version": 2}, "expected fit, shift and fill of one version"),
    ],
)
def test_what_does_not_fit(
    name: str, tensors: dict[str, Any], changes: dict[str, Any], message: str, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(later(checkpoint, name), path)
    with safetensors.safe_open(path, framework="numpy") as file:
        arrays = {key: file.get_tensor(key) for key in file.keys()} | tensors  # noqa: SIM118 - not a dict
    kept = {key: array for key, array in arrays.items() if array is not None}
    path.write_bytes(safetensors.numpy.save(kept, {"kit": json.dumps(description(path) | changes)}))
    with pytest.raises(CheckpointError, match=re.escape(message)):
        load_checkpoint(path)


def test_a_newer_version_asks_for_a_newer_kit(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(checkpoint, path)
    with safetensors.safe_open(path, framework="numpy") as file:
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    path.write_bytes(safetensors.numpy.save(arrays, {"kit": json.dumps(description(path) | {"version": 4})}))
    message = f"{path}: expected a checkpoint of version 3 or older, found 4: upgrade softmax-kit here"
    with pytest.raises(CheckpointError, match=f"^{re.escape(message)}$"):
        load_checkpoint(path)


def test_a_decision_found_after_the_fit_is_not_seen_by_resume(digits: Dataset) -> None:
    config = FitConfig(epochs=4, batch_size=64, device="cpu", calibrate=False)
    stops, saved = iter([False, True, True, True]), list[Fit]()
    fit(digits, config, on_checkpoint=saved.append, stop=lambda: next(stops))
    assert not saved[-1].finished
    plain, decided = (
        fit(digits, config, resume=checkpoint).checkpoint
        for checkpoint in (saved[-1].checkpoint, dataclasses.replace(saved[-1].checkpoint, decision=DECISION))
    )
    assert decided.decision is None
    assert decided.to_bytes() == plain.to_bytes()


@pytest.mark.parametrize("name", ["onnx", "onnx-int8"])
def test_centre_and_scale_of_each_pixel_are_folded(
    name: str, checkpoint: Checkpoint, scaled: Checkpoint, digits: Dataset, tmp_path: Path
) -> None:
    images = digits.test.images.numpy()
    np.testing.assert_allclose(
        reference_probabilities(scaled, images), reference_probabilities(checkpoint, images), atol=1e-5
    )
    report = export(scaled, name, tmp_path / "scaled.onnx")
    assert report.proof is not None
    assert report.proof.certain > 0.9
    assert load(report.path).metadata.version == "1.1"


@pytest.mark.parametrize("name", ["onnx", "onnx-int8", "torchscript"])
def test_a_decision_is_in_the_artefact_and_its_temperature_in_the_graph(
    name: str, checkpoint: Checkpoint, digits: Dataset, tmp_path: Path
) -> None:
    decision = DECISION._replace(familiarity=None)
    report = export(dataclasses.replace(checkpoint, decision=decision), name, tmp_path / "decided")
    if name == "torchscript":
        return
    images, opened = digits.test.images.numpy(), load(report.path)
    assert opened.metadata.decision == decision
    assert opened.metadata.version == "2.0"
    logits = np.log(reference_probabilities(checkpoint, images)) / 1.7 + np.array(decision.bias)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = opened.probabilities(images)
    np.testing.assert_allclose(found, expected, atol=1e-5 if name == "onnx" else 0.05)
    accepted = [(row.max() >= 0.75) and (row.argmax() == 3 or row[3] < 0.1) for row in found]
    assert [one.accepted for one in opened.classify_batch(images)] == accepted
    assert 0.2 < np.mean(accepted) < 0.99


@pytest.mark.parametrize("name", ["onnx", "onnx-int8"])
@pytest.mark.parametrize("change", [{"temperature": 1e-320}, {"temperature": 1e-60}, {"bias": (1e308,) * 10}])
def test_a_decision_that_no_float32_holds_is_refused(
    name: str, change: dict[str, Any], checkpoint: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match="that float32 can hold, found"):
        export(dataclasses.replace(checkpoint, decision=Decision(**change)), name, tmp_path / "m.onnx")


def test_large_golden_images_of_format_2_are_compressed(tmp_path: Path) -> None:
    side = 120
    images = np.repeat(np.arange(side, dtype=np.uint8), side * 3).reshape(1, side, side, 3).repeat(2, axis=0)
    rng = np.random.default_rng(0)
    plain = Checkpoint(
        weights=rng.normal(0, 0.001, (images[0].size, 2)).astype(np.float32),
        bias=np.zeros(2, np.float32),
        mean=np.full(3, 60, np.float32),
        std=np.full(3, 50, np.float32),
        golden_images=images,
        golden_probabilities=np.zeros((2, 2), np.float32),
        sample_images=images,
        labels=("a", "b"),
        image=ImageContract(height=side, width=side, color="RGB"),
        provenance={},
    )
    plain = dataclasses.replace(plain, golden_probabilities=reference_probabilities(plain, images).astype(np.float32))
    cropped = dataclasses.replace(plain, image=dataclasses.replace(plain.image, fit="crop"))
    large, small = (export(one, "onnx", tmp_path / f"{one.image.fit}.onnx") for one in (plain, cropped))
    assert [load(one.path).metadata.golden.encoding for one in (large, small)] == ["raw", "png-rows"]
    assert small.size < large.size - images.nbytes
    np.testing.assert_array_equal(load(small.path).metadata.golden.images, images)


def test_a_model_on_a_graph_that_is_none_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"expected a features graph of standard operators .* --features than 'net'"):
        export(later(checkpoint, "features"), "onnx", tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())

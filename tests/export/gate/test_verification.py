"""Comparison on the test images of a data set, and the images that it loads."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runtime
from export import ExportError, LabelledImages, ParityError, export
from export.formats import FORMATS
from export.gate.verification import load_images
from tests.export.folders import lay_out
from tests.formats import ALL
from tests.interpreter import Kit
from trainer import Checkpoint, Dataset, load_data


@pytest.fixture(scope="session")
def labelled(digits: Dataset) -> LabelledImages:
    return LabelledImages(
        name="digits", labels=digits.labels, images=digits.test.images.numpy(), targets=digits.test.targets.numpy()
    )


@pytest.mark.parametrize("name", ALL)
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


def test_an_export_is_verified_on_the_images_held_out_for_it(run_kit: Kit, digits: Dataset) -> None:
    lay_out(Path("pictures"), digits, digits.labels, each=30)
    settings = (
        "--solver",
        "sgd",
        "--epochs",
        "2",
        "--seed",
        "5",
        "--image-size",
        "12",
        "--color",
        "RGB",
        "--device",
        "cpu",
    )
    assert run_kit("train", "--data", "pictures", *settings, "--no-report").exit_code == 0
    (report,) = json.loads(run_kit("export", "runs/pictures", "--verify-on", "pictures", "--json").stdout)
    classifier = runtime.load("runs/pictures/model.onnx")
    accuracies = []
    for seed in (5, 0):
        test = load_data("pictures", image_size=12, color="RGB", seed=seed).test
        predicted = classifier.probabilities(test.images.numpy()).argmax(axis=1)
        accuracies.append((predicted == test.targets.numpy()).mean())
    assert report["verification"]["accuracy"] == accuracies[0] != accuracies[1]


@pytest.mark.parametrize("settings", [None, [], {}, {"seed": None}, {"seed": "5"}, {"seed": 1.5}, {"seed": -(2**70)}])
def test_a_provenance_without_a_seed(settings: Any, model: Path, digits: Dataset, tmp_path: Path) -> None:
    metadata = runtime.load(model).metadata._replace(provenance={"settings": settings})
    lay_out(tmp_path / "pictures", digits, digits.labels, each=5)
    assert len(load_images(metadata, str(tmp_path / "pictures"), None).images) == 10


def test_an_error_names_no_labels_that_agree(model: Path) -> None:
    metadata = runtime.load(model).metadata._replace(labels=tuple("0123456789"[::-1]))
    assert load_images(metadata, "digits", None).labels == metadata.labels
    with pytest.raises(ExportError, match=r"it lacks 'a': evaluate"):
        load_images(metadata._replace(labels=(*metadata.labels, "a")), "digits", None)

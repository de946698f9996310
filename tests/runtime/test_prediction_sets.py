"""Prediction sets and abstention, in Python and on the command line, with the hand-written artefact."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import runtime
from runtime import InputError
from tests.backends import alike
from tests.interpreter import Kit
from tests.runtime.later import later_document, later_model
from trainer import Dataset

IMAGES = np.random.default_rng(1).integers(0, 256, (60, 2, 2, 1), np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "later.onnx"
    document = later_document()
    document["decision"]["sets"] = [
        {"confidence": 0.9, "probability": 0.4, "images": 40},
        {"confidence": 0.95, "probability": 0.05, "images": 40},
    ]
    found.write_bytes(later_model(document))
    return found


@pytest.mark.parametrize(("confidence", "least"), [(0.9, 0.4), (0.95, 0.05)])
def test_a_set_has_the_likeliest_and_all_above_the_threshold(path: Path, confidence: float, least: float) -> None:
    classifier = runtime.load(path)
    probabilities = classifier.probabilities(IMAGES)
    found = [classifier.classify(image, confidence=confidence) for image in IMAGES]
    for prediction, row in zip(found, probabilities, strict=True):
        order = [index for index in np.argsort(-row) if row[index] >= least or index == row.argmax()]
        assert prediction.set == tuple(classifier.labels[index] for index in order)
        assert prediction.label == prediction.set[0]
    assert {len(prediction.set or ()) for prediction in found} == {1, 2}
    assert alike(classifier.classify_batch(IMAGES, confidence=confidence), found)
    assert runtime.classify(IMAGES[0], model=path, confidence=confidence) == found[0]
    assert classifier.classify(IMAGES[0]).set is None


@pytest.mark.parametrize("confidence", [0.8, "0.9", None.__class__, True])
def test_a_confidence_that_is_not_stored(path: Path, confidence: float) -> None:
    classifier = runtime.load(path)
    for call in (classifier.classify, lambda image, **given: classifier.classify_batch([image], **given)):
        with pytest.raises(
            InputError,
            match=r"^expected a confidence out of 0.9, 0.95, the ones stored in the artefact, got .*: choose",
        ):
            call(IMAGES[0], confidence=confidence)


def test_an_artefact_without_sets(model: Path, digits: Dataset) -> None:
    with pytest.raises(InputError, match="expected an artefact with prediction sets for a confidence, got one without"):
        runtime.classify(digits.test.images[0].numpy(), model=model, confidence=0.9)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, image in enumerate(IMAGES):
        Image.fromarray(image[:, :, 0]).save(folder / f"{number:02}.png")
    return folder


def test_kit_classify_abstains(path: Path, photos: Path, run_kit: Kit) -> None:
    answers = json.loads(run_kit("classify", photos, "--model", path, "--json", "--confidence", "0.9").stdout)
    lines = run_kit("classify", photos, "--model", path, "--confidence", "0.9").stdout.splitlines()
    every = run_kit("classify", photos, "--model", path, "--accept", "all").stdout.splitlines()
    accepted = [answer["accepted"] and answer["familiar"] for answer in answers]
    assert {*accepted} == {True, False}
    for answer, line, whole, good in zip(answers, lines, every, accepted, strict=True):
        probability = f"{answer['probability']:.4f}"
        label = answer["label"] if good else "?"
        assert line.split(maxsplit=3) == [answer["image"], label, probability, f"{{{', '.join(answer['set'])}}}"]
        assert whole.split() == [answer["image"], answer["label"], probability]


def test_the_columns_of_the_output(path: Path, photos: Path, run_kit: Kit, tmp_path: Path) -> None:
    (photos / "07.png").write_bytes(b"no image")
    options = ["--model", path, "--output", tmp_path / "out", "--workers", "1", "--confidence", "0.95"]
    assert run_kit("classify", photos, *options).exit_code == 0
    table = pq.read_table(tmp_path / "out")
    assert table.column_names[4:] == ["probability", "accepted", "familiar", "set", "error"]
    classifier = runtime.load(path)
    for number, row in enumerate(table.to_pylist()):
        if number == 7:
            assert (row["accepted"], row["familiar"], row["set"]) == (None, None, None)
            continue
        found = classifier.classify(IMAGES[number], confidence=0.95)
        assert (row["accepted"], row["familiar"], tuple(row["set"])) == (found.accepted, found.familiar, found.set)


def test_kit_classify_names_the_levels(path: Path, photos: Path, run_kit: Kit) -> None:
    for options in ([], ["--output", "out"]):
        result = run_kit("classify", photos, "--model", path, "--confidence", "0.5", *options)
        assert result.exit_code == 1
        assert (
            "expected a confidence out of 0.9, 0.95, the ones stored in the artefact, got 0.5: choose" in result.stderr
        )
    assert not Path("out").exists()


def test_kit_evaluate_measures_the_decisions(path: Path, photos: Path, run_kit: Kit) -> None:
    labels = ["dark" if number % 2 else "bright" for number in range(len(IMAGES))]
    for number, label in enumerate(labels):
        (photos / label).mkdir(exist_ok=True)
        (photos / f"{number:02}.png").rename(photos / label / f"{number:02}.png")
    found = json.loads(run_kit("evaluate", "--model", path, "--data", photos, "--all", "--json").stdout)["decision"]
    predictions = runtime.load(path).classify_batch(IMAGES, confidence=0.9)
    passed = np.array([bool(prediction.accepted) for prediction in predictions])
    assert found["accepted"]["coverage"] == pytest.approx(passed.mean())
    wrong = [one.label != label for one, label in zip(predictions, labels, strict=True)]
    assert found["accepted"]["error"] == pytest.approx(np.array(wrong)[passed].mean())
    assert found["sets"][0]["size"] == pytest.approx(np.mean([len(one.set or ()) for one in predictions]))
    assert found["familiar"] == pytest.approx(np.mean([one.familiar for one in predictions]))
    text = run_kit("evaluate", "--model", path, "--data", photos, "--all").stdout
    assert f"accepted: {found['accepted']['coverage']:.2%} of the answers" in text
    assert "  at most 2.00% wrong: " in text
    assert "prediction sets of 90%: " in text
    assert f"familiar: {found['familiar']:.2%} of the images" in text

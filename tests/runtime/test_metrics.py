"""Scores by class, confusion matrix and calibration error, against scikit-learn, a plain loop and sums by hand."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import classification_report

from runtime.metrics import calibration_error, calibration_error_by_chance, classification_metrics

Answers = tuple[NDArray[np.int64], NDArray[np.float32]]


def random_answers(classes: int, images: int = 500) -> Answers:
    generator = np.random.default_rng(classes)
    targets = generator.integers(0, classes, images)
    logits = generator.normal(size=(images, classes))
    logits[np.arange(images), targets] += 2
    exponentials = np.exp(logits)
    return targets, (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)


def calibration_by_loop(targets: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    total = 0.0
    for m in range(1, 16):
        inside = [
            (float(row.max()), bool(row.argmax() == target))
            for row, target in zip(probabilities, targets, strict=True)
            if (m - 1) / 15 < float(row.max()) <= m / 15
        ]
        if inside:
            confidence = sum(largest for largest, _ in inside) / len(inside)
            accuracy = sum(right for _, right in inside) / len(inside)
            total += len(inside) / len(targets) * abs(accuracy - confidence)
    return total


def test_by_hand() -> None:
    targets = np.array([0, 0, 0, 1])
    probabilities = np.array([[0.75, 0.25, 0], [0.75, 0.25, 0], [0.25, 0.75, 0], [0, 1, 0]], np.float32)
    assert classification_metrics(["a", "b", "never"], targets, probabilities) == {
        "per_class": {
            "a": {"precision": 1.0, "recall": 2 / 3, "f1": 0.8, "images": 3},
            "b": {"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "images": 1},
            "never": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "images": 0},
        },
        "confusion_matrix": [[2, 1, 0], [0, 1, 0], [0, 0, 0]],
        "calibration_error_by_chance": calibration_error_by_chance(probabilities),
        "calibration_error": pytest.approx(3 / 4 * (0.75 - 2 / 3)),  # three at 0.75, two of them right; one at 1, right
    }


@pytest.mark.parametrize("classes", [2, 3, 10, 100, 101, 1000])
def test_against_scikit_learn(classes: int) -> None:
    targets, probabilities = random_answers(classes)
    labels = [f"label {index}" for index in range(classes)]
    metrics = classification_metrics(labels, targets, probabilities)
    report = classification_report(
        targets,
        probabilities.argmax(axis=1),
        labels=range(classes),
        target_names=labels,
        zero_division=0,
        output_dict=True,
    )
    assert list(metrics["per_class"]) == labels
    for label, scores in metrics["per_class"].items():
        assert list(scores.values()) == list(report[label].values())

    if classes > 100:
        matrix = np.zeros((classes, classes), np.int64)
        cells = metrics["confusion_cells"]
        matrix[cells["true"], cells["predicted"]] = cells["images"]
        assert 0 not in cells["images"]
        assert "confusion_matrix" not in metrics
    else:
        matrix = np.array(metrics["confusion_matrix"])
        assert "confusion_cells" not in metrics
    assert matrix.shape == (classes, classes)
    assert matrix.sum(axis=1).tolist() == np.bincount(targets, minlength=classes).tolist()
    assert matrix.sum(axis=0).tolist() == np.bincount(probabilities.argmax(axis=1), minlength=classes).tolist()
    assert json.loads(json.dumps(metrics)) == metrics


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_calibration_against_a_loop(classes: int) -> None:
    targets, probabilities = random_answers(classes)
    found = calibration_error(targets, probabilities)
    assert found == pytest.approx(calibration_by_loop(targets, probabilities), abs=1e-12)  # sums in another order


@pytest.mark.parametrize(
    ("largest", "right", "expected"),
    [
        ([1.0, 1.0], [True, True], 0),
        ([1.0, 1.0], [False, False], 1),
        ([0.5, 0.5], [True, False], 0),
        (
            [0.875, 0.625],
            [True, False],
            (0.125 + 0.625) / 2,
        ),  # in different bins, so they do not make up for each other
        ([np.nextafter(np.float32(1), np.float32(2))], [True], 0),  # float32 rows may sum to a little more than 1
    ],
)
def test_calibration_by_hand(largest: list[float], right: list[bool], expected: float) -> None:
    probabilities = np.array([[value, 1 - value] for value in largest], np.float32)
    targets = np.array([0 if answer else 1 for answer in right])
    assert calibration_error(targets, probabilities) == pytest.approx(expected, abs=1e-6)


def test_one_class_alone_in_the_test_images() -> None:
    metrics = classification_metrics(["a", "b"], np.zeros(4, np.int64), np.array([[0.75, 0.25]] * 4, np.float32))
    assert metrics["confusion_matrix"] == [[4, 0], [0, 0]]
    assert metrics["calibration_error"] == pytest.approx(0.25)


def test_the_error_by_chance_against_a_loop() -> None:
    """The quantile of calibrated models' errors, drawn otherwise: within the spread of such quantiles."""
    _, probabilities = random_answers(5, 300)
    generator, found = np.random.default_rng(9), []
    for _ in range(200):
        right = generator.random(300) < probabilities.max(axis=1)
        best = probabilities.argmax(axis=1)
        found.append(calibration_by_loop(np.where(right, best, (best + 1) % 5), probabilities))
    assert calibration_error_by_chance(probabilities) == pytest.approx(np.quantile(found, 0.95), rel=0.1)


@pytest.mark.parametrize(("largest", "expected"), [([1.0] * 9, 0.0), ([0.5], 0.5)])
def test_the_error_by_chance_by_hand(largest: list[float], expected: float) -> None:
    probabilities = np.array([[value, 1 - value] for value in largest], np.float32)
    assert calibration_error_by_chance(probabilities) == expected


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_probabilities_that_are_not_finite(value: float) -> None:
    """The number of a bin is not computed from one."""
    probabilities = np.array([[0.5, 0.5], [0.5, value]], np.float32)
    for measure in (calibration_error, lambda *of: classification_metrics(["a", "b"], *of)):
        with pytest.raises(ValueError, match=r"^expected probabilities of 0-1, found one that is not finite$"):
            measure(np.array([0, 1]), probabilities)

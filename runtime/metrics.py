"""Figures of a classifier on held-out images, beyond loss and accuracy. Needs numpy alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15
DRAWS, QUANTILE = 200, 0.95  # of calibrated models
MATRIX_CLASSES = 100  # that a confusion matrix is written for; a document of 1,000 would have a million zeros


def classification_metrics(
    labels: Sequence[str], targets: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> dict[str, Any]:
    """Precision, recall and F1 of each class, the confusion matrix and the calibration error, ready for JSON.

    Returns per_class: precision, recall, f1 (0-1, and 0 for 0/0) and number of images of each label; confusion_matrix:
    K rows of K counts, rows the true class, columns the predicted one; calibration_error: 0-1, and the one of which a
    calibrated model has a larger one once in 20 times. Above 100 classes
    confusion_cells stands in place of the matrix, with its cells that are not 0: the lists true and predicted, of
    classes, and images. Raises ValueError where the lengths differ or a probability is not finite.

    labels: K class names.
    targets: int64 [N], N at least 1, in 0..K-1.
    probabilities: float32 [N, K], rows sum to 1; the prediction is the first with the largest.
    """
    matrix = confusion_matrix(targets, probabilities.argmax(axis=1), len(labels))
    correct, images, predictions = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)  # [K] each
    columns = {
        "precision": correct / predictions.clip(1),
        "recall": correct / images.clip(1),
        "f1": 2 * correct / (predictions + images).clip(1),
        "images": images,
    }
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return {
        "per_class": {label: dict(zip(columns, row, strict=True)) for label, row in zip(labels, rows, strict=True)},
        **_confusions(matrix),
        "calibration_error": calibration_error(targets, probabilities),
        "calibration_error_by_chance": calibration_error_by_chance(probabilities),
    }


def _confusions(matrix: NDArray[np.int64]) -> dict[str, Any]:
    if len(matrix) <= MATRIX_CLASSES:
        return {"confusion_matrix": matrix.tolist()}
    true, predicted = matrix.nonzero()
    cells = {"true": true, "predicted": predicted, "images": matrix[true, predicted]}
    return {"confusion_cells": {name: column.tolist() for name, column in cells.items()}}


def confusion_matrix(targets: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Count pairs of true class, by row, and predicted class, by column: int64 [K, K]."""
    counts: NDArray[np.int64] = np.bincount(classes * targets + predicted, minlength=classes**2)
    return counts.reshape(classes, classes)


def calibration_error(targets: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    """Expected calibration error: mean difference between confidence and accuracy, 0-1.

    Σₘ |Bₘ|/N · |accuracy(Bₘ) − confidence(Bₘ)|, where Bₘ are the images whose largest probability lies in
    ((m − 1)/15, m/15], m = 1…15 (Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3).

    targets: int64 [N], N at least 1.
    probabilities: float32 [N, K]. Raises ValueError where one is not finite.
    """
    if not np.isfinite(probabilities).all():  # which would be a bin's number
        raise ValueError("expected probabilities of 0-1, found one that is not finite")
    confidence = probabilities.max(axis=1).astype(np.float64)  # [N]
    gap = (probabilities.argmax(axis=1) == targets) - confidence  # [N]
    return float(np.abs(np.bincount(_bins(confidence), weights=gap)).sum() / len(targets))


def calibration_error_by_chance(probabilities: NDArray[np.float32]) -> float:
    """The 95 % quantile of the calibration error of a model whose answers are right as often as it says.

    200 draws, of a model with the same confidences: in each, an answer is right with the probability that it has.

    probabilities: float32 [N, K], N at least 1.
    """
    confidence = probabilities.max(axis=1).astype(np.float64).clip(max=1)
    order = np.argsort(_bins(confidence), kind="stable")
    confidence, bins = confidence[order], _bins(confidence)[order]
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    sums = np.add.reduceat(confidence, starts)
    generator, found = np.random.default_rng(0), []
    for _ in range(DRAWS):
        right = generator.random(len(confidence)) < confidence
        found.append(np.abs(np.add.reduceat(right, starts, dtype=np.int64) - sums).sum() / len(confidence))
    return float(np.quantile(found, QUANTILE))


def _bins(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """Bin of each confidence, 0 to BINS − 1; rounding may lift one above 1."""
    return np.ceil(confidence * BINS).clip(1, BINS).astype(np.int64) - 1

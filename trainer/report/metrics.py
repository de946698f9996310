"""Figures of a trained classifier on held-out images, beyond its loss and accuracy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

BINS = 15


def classification_metrics(
    labels: Sequence[str], targets: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> dict[str, Any]:
    """Precision, recall and F1 of each class, the confusion matrix and the calibration error, ready for JSON.

    labels: K class names. targets: int64 [N], N at least 1, in 0..K-1. probabilities: float32 [N, K], rows sum to 1;
    the predicted class is the first with the largest. Returns per_class, for each label its precision, recall and f1
    (0-1, and 0 where they would be 0/0) and the number of its images; confusion_matrix, K rows of K counts, rows the
    true class and columns the predicted one; calibration_error, 0-1. Raises ValueError where the lengths differ.
    """
    classes = np.arange(len(labels))
    predicted = probabilities.argmax(axis=1)
    scores = precision_recall_fscore_support(targets, predicted, labels=classes, zero_division=0)
    rows = zip(*(column.tolist() for column in scores), strict=True)
    names = ("precision", "recall", "f1", "images")
    return {
        "per_class": {label: dict(zip(names, row, strict=True)) for label, row in zip(labels, rows, strict=True)},
        "confusion_matrix": confusion_matrix(targets, predicted, labels=classes).tolist(),
        "calibration_error": calibration_error(targets, probabilities),
    }


def calibration_error(targets: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    """Expected calibration error: how far the probability of the predicted class is from how often it is right, 0-1.

    Σₘ |Bₘ|/N · |accuracy(Bₘ) − confidence(Bₘ)|, where Bₘ are the images whose largest probability lies in
    ((m − 1)/15, m/15], m = 1…15 (Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3).
    targets: int64 [N], N at least 1. probabilities: float32 [N, K].
    """
    confidence = probabilities.max(axis=1).astype(np.float64)  # [N]
    gap = (probabilities.argmax(axis=1) == targets) - confidence  # [N]
    bins = np.ceil(confidence * BINS).clip(1, BINS).astype(np.int64) - 1  # [N], rounding may lift a confidence above 1
    return float(np.abs(np.bincount(bins, weights=gap)).sum() / len(targets))

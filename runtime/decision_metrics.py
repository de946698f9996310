"""How an artefact's decisions do on labelled images. Needs numpy alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .decided import accepted, prediction_sets
from .decision import Decision

if TYPE_CHECKING:
    from numpy.typing import NDArray

POINTS = 100  # of a curve


def decision_metrics(
    decision: Decision, labels: Sequence[str], targets: NDArray[np.int64], probabilities: NDArray[np.float32],
    familiarity: NDArray[np.float32] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Measure the decisions that there are, ready for JSON.

    Returns accepted: how many images, the coverage, and the error of the accepted answers (None where there are none);
    thresholds: of each its label, the rate that it states and with which confidence, the rate found and of how many
    images; sets: of each confidence how many have the true label, their mean size, and how many have one label;
    familiar: share of the images; curve: error against coverage. Shares are 0-1.

    labels: K class names. targets: int64 [N]. probabilities: float32 [N, K]. familiarity: float32 [N], if known.
    """
    found: dict[str, Any] = {}
    right = probabilities.argmax(axis=1) == targets
    wrong = ~right
    if decision.thresholds:
        passed = accepted(probabilities, decision.thresholds, labels)
        coverage = float(passed.mean())
        found["accepted"] = {"images": len(targets), "coverage": coverage, "error": _share(wrong, passed)}
        stated = [(one.label, one.max_error, one.confidence) for one in decision.thresholds]
        found["thresholds"] = [
            {"label": label, "max_error": max_error, "confidence": confidence}
            | _rate(wrong, passed, None if label is None else targets == labels.index(label))
            for label, max_error, confidence in stated
        ]
    if decision.sets:
        found["sets"] = [_set(one.confidence, one.probability, targets, probabilities) for one in decision.sets]
    if decision.familiarity and familiarity is not None:
        found["familiar"] = float((familiarity >= decision.familiarity.threshold).mean())
    return found | {"curve": coverage_curve(right, probabilities.max(axis=1))}


def coverage_curve(right: NDArray[np.bool_], confidence: NDArray[np.floating]) -> list[list[float]]:
    """Pairs of coverage and error, as the probability that an answer needs falls: at most 100.

    Answers of one probability are accepted together.

    right: whether each answer is, [N]. confidence: its probability, [N].
    """
    order = np.argsort(-confidence, kind="stable")
    errors, needed = (~right[order]).cumsum(), -confidence[order]
    counts = np.linspace(1, len(order), min(POINTS, len(order))).astype(int)
    counts = np.unique(np.searchsorted(needed, needed[counts - 1], side="right"))
    return [[float(f"{count / len(order):.6g}"), float(f"{errors[count - 1] / count:.6g}")] for count in counts]


def _rate(wrong: NDArray[np.bool_], passed: NDArray[np.bool_], of_label: NDArray[np.bool_] | None) -> dict[str, Any]:
    """Share of the accepted answers that are wrong; with a label, of its images that are missed: [N] each.

    passed: whether an answer passes all thresholds, as an accepted one does.
    of_label: whether an image is the label's.
    """
    found = _share(wrong, passed) if of_label is None else _share(wrong & passed, of_label)
    return {"found": found, "images": int((passed if of_label is None else of_label).sum())}


def _set(
    confidence: float, probability: float, targets: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> dict[str, float]:
    sets = prediction_sets(probabilities, probability)
    covered, sizes = sets[np.arange(len(targets)), targets], sets.sum(axis=1)
    return {
        "confidence": confidence,
        "coverage": float(covered.mean()),
        "size": float(sizes.mean()),
        "singles": float((sizes == 1).mean()),
    }


def _share(which: NDArray[np.bool_], among: NDArray[np.bool_]) -> float | None:
    return float(which[among].mean()) if among.any() else None

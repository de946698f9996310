"""How an artefact's decisions do on labelled images. Needs numpy alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .decided import accepted, prediction_sets
from .decision import Decision, Threshold

if TYPE_CHECKING:
    from numpy.typing import NDArray

POINTS = 100  # of a curve


def decision_metrics(
    decision: Decision, labels: Sequence[str], targets: NDArray[np.int64], probabilities: NDArray[np.float32],
    familiarity: NDArray[np.float32] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Measure the decisions that there are, ready for JSON.

    Returns accepted: the coverage, and the error of the accepted answers (None where there are none); thresholds: of
    each its label, the rate that it states and the one found; sets: of each confidence how many have the true label,
    and their mean size; familiar: share of the images; curve: error against coverage. Shares are 0-1.

    labels: K class names. targets: int64 [N]. probabilities: float32 [N, K]. familiarity: float32 [N], if known.
    """
    found: dict[str, Any] = {}
    right = probabilities.argmax(axis=1) == targets
    if decision.thresholds:
        passed = accepted(probabilities, decision.thresholds, labels)
        found["accepted"] = {"coverage": float(passed.mean()), "error": _share(~right, passed)}
        found["thresholds"] = [_threshold(one, labels, targets, probabilities) for one in decision.thresholds]
    if decision.sets:
        found["sets"] = [_set(one.confidence, one.probability, targets, probabilities) for one in decision.sets]
    if decision.familiarity and familiarity is not None:
        found["familiar"] = float((familiarity >= decision.familiarity.threshold).mean())
    return found | {"curve": coverage_curve(right, probabilities.max(axis=1))}


def coverage_curve(right: NDArray[np.bool_], confidence: NDArray[np.floating]) -> list[list[float]]:
    """Pairs of coverage and error, as the probability that an answer needs falls: at most 100.

    right: whether each answer is, [N]. confidence: its probability, [N].
    """
    order = np.argsort(-confidence, kind="stable")
    errors = (~right[order]).cumsum()
    counts = np.unique(np.linspace(1, len(order), min(POINTS, len(order))).astype(int))
    return [[float(f"{count / len(order):.6g}"), float(f"{errors[count - 1] / count:.6g}")] for count in counts]


def _threshold(
    threshold: Threshold, labels: Sequence[str], targets: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> dict[str, Any]:
    passed = accepted(probabilities, [threshold], labels)
    wrong = probabilities.argmax(axis=1) != targets
    if threshold.label is None:
        found = _share(wrong, passed)
    else:
        found = _share(wrong & passed, targets == labels.index(threshold.label))
    return {"label": threshold.label, "max_error": threshold.max_error, "found": found}


def _set(
    confidence: float, probability: float, targets: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> dict[str, float]:
    sets = prediction_sets(probabilities, probability)
    covered = sets[np.arange(len(targets)), targets]
    return {"confidence": confidence, "coverage": float(covered.mean()), "size": float(sets.sum(axis=1).mean())}


def _share(which: NDArray[np.bool_], among: NDArray[np.bool_]) -> float | None:
    return float(which[among].mean()) if among.any() else None

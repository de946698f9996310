"""Finds a decision on held-out images: a third of them calibrates, the others measure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.decision import Decision, Familiarity, Threshold
from runtime.metrics import calibration_error

from .calibration import Calibration, calibrate, losses
from .demands import Demands
from .sets import prediction_sets
from .thresholds import Sample, Targets, Unmet, error_threshold, miss_threshold

CALIBRATING = 3  # one image in so many calibrates
FALSE_ALARMS = 0.01


class Decided(NamedTuple):
    """What was found.

    decision: the entry of the checkpoint.
    about: on how many images, and what they show of it, JSON.
    unmet: the demands that the images do not suffice for.
    """

    decision: Decision
    about: dict[str, Any]
    unmet: tuple[Unmet, ...]


def decide(
    logits: NDArray[np.floating[Any]], targets: Targets, labels: Sequence[str], demands: Demands, *, seed: int = 0
) -> Decided:
    """Find temperature, bias, thresholds and prediction sets for a model, on images that its fit has not seen.

    logits: [N, K], of the trained model.
    targets: int64 [N], N ≥ 2.
    seed: random seed of which images calibrate.
    """
    exact = logits.astype(np.float64)
    calibrating = parts(targets, CALIBRATING, seed) == 0
    measuring = ~calibrating
    calibration = calibrate(exact[calibrating], targets[calibrating])
    probabilities = softmax(calibration(exact))
    before, images = (Sample(probabilities[rows], targets[rows]) for rows in (calibrating, measuring))
    found = _thresholds(before, images, labels, demands, seed)
    thresholds = tuple(one for one in found if isinstance(one, Threshold))
    decision = Decision(*calibration, thresholds=thresholds, sets=prediction_sets(images))
    unmet = tuple(one for one in found if isinstance(one, Unmet))
    about = {
        "images": len(targets),
        "calibrating_images": int(calibrating.sum()),
        "before": _figures(exact[measuring], targets[measuring], Calibration()),
        "after": _figures(exact[measuring], targets[measuring], calibration),
        "unmet": [one._asdict() for one in unmet],
        "curves": {label: precision_and_recall(images, labels.index(label)) for label in demands.max_miss},
    }
    return Decided(decision, about, unmet)


def familiarity(scores: NDArray[np.floating[Any]]) -> Familiarity | None:
    """Find the score that all but a hundredth of such images have at least; None where they are too few.

    scores: [N], of held-out images. A new one is as likely to be below the ⌊(N + 1) / 100⌋-th smallest as its rank.
    """
    place = int((len(scores) + 1) * FALSE_ALARMS + 1e-9)
    if not place:
        return None
    return Familiarity(float(np.sort(scores)[place - 1]), FALSE_ALARMS, len(scores))


def _thresholds(
    before: Sample, images: Sample, labels: Sequence[str], demands: Demands, seed: int
) -> list[Threshold | Unmet]:
    """Find the thresholds of labels first, and then that of all answers, given these, on images of its own."""
    first = second = np.ones(len(images), bool)
    if demands.both:
        first = parts(images.targets, 2, seed) == 0
        second = ~first
    found = [miss_threshold(images.some(first), label, rate, labels) for label, rate in demands.max_miss.items()]
    if demands.max_error is None:
        return found
    others = [one for one in found if isinstance(one, Threshold)]
    return [error_threshold(before, images.some(second), demands.max_error, others, labels), *found]


def parts(targets: Targets, count: int, seed: int) -> Targets:
    """Give each image a part, 0 to count − 1, at random, each class spread over all of them: int64 [N] → int64 [N]."""
    order = np.random.default_rng(seed).permutation(len(targets))
    order = order[np.argsort(targets[order], kind="stable")]
    part = np.empty_like(targets)
    part[order] = np.arange(len(targets)) % count
    return part


def precision_and_recall(images: Sample, place: int) -> list[list[float]]:
    """Precision and recall of a label as its least probability rises, with that probability: at most 100 rows."""
    probability, of_label = images.probabilities[:, place], images.targets == place
    order = np.argsort(-probability, kind="stable")
    hits = of_label[order].cumsum()
    rows = np.unique(np.linspace(0, len(order) - 1, min(100, len(order))).astype(int))
    columns = probability[order][rows], hits[rows] / (rows + 1), hits[rows] / max(1, int(of_label.sum()))
    return [[float(f"{value:.6g}") for value in row] for row in zip(*columns, strict=True)]


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """exp(z) / Σ exp(z) along each row: [N, K] → [N, K]."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return found


def _figures(logits: NDArray[np.float64], targets: Targets, calibration: Calibration) -> dict[str, float]:
    calibrated = calibration(logits)
    return {
        "loss": float(losses(calibrated, targets).mean()),
        "accuracy": float((calibrated.argmax(axis=1) == targets).mean()),
        "calibration_error": calibration_error(targets, softmax(calibrated).astype(np.float32)),
    }

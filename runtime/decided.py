"""The decisions of an artefact for many images: which answers are accepted, and which labels are in the sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .decision import Threshold

if TYPE_CHECKING:
    from numpy.typing import NDArray


def accepted(
    probabilities: NDArray[np.floating], thresholds: Sequence[Threshold], labels: Sequence[str]
) -> NDArray[np.bool_]:
    """Say which answers pass all thresholds, as `decision.Acceptance` does for one: [N, K] → [N].

    labels: the model's.
    """
    answers = probabilities.argmax(axis=1)
    found = np.ones(len(probabilities), bool)
    for threshold in thresholds:
        if threshold.label is None:
            found &= _at_least(probabilities.max(axis=1), threshold.probability)
        else:
            place = labels.index(threshold.label)
            found &= (answers == place) | ~_at_least(probabilities[:, place], threshold.probability)
    return found


def prediction_sets(probabilities: NDArray[np.floating], probability: float) -> NDArray[np.bool_]:
    """Say which labels are in the sets, the likeliest always among them: [N, K] → [N, K].

    probability: that the other labels of a set have at least.
    """
    found = _at_least(probabilities, probability)
    found[np.arange(len(found)), probabilities.argmax(axis=1)] = True
    return found


def _at_least(probabilities: NDArray[np.floating], limit: float) -> NDArray[np.bool_]:
    """Compare in float64, as Python does for one image; numpy would round a number alone to float32."""
    return np.asarray(probabilities >= np.array([limit]))

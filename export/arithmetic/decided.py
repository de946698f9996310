"""Which decisions cannot differ: whether an answer is accepted, within the bounds of the logits."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from runtime.decision import Threshold

SOFTMAX = 2.0**-20  # largest relative error of a probability that float32 computes from exact logits

Logits = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Bounded(NamedTuple):
    """Logits [N, K], each within an error of the one computed."""

    logits: Logits
    errors: Logits

    def probabilities(self) -> tuple[Logits, Logits]:
        """The smallest and the largest probability of each class: two [N, K]."""
        highest = (self.logits + self.errors).max(axis=1, keepdims=True)
        low, high = (np.exp(self.logits + sign * self.errors - highest) for sign in (-1, 1))
        least = low / (low + high.sum(axis=1, keepdims=True) - high)
        most = high / (high + low.sum(axis=1, keepdims=True) - low)
        return least * (1 - SOFTMAX), most * (1 + SOFTMAX)


Decide: TypeAlias = Callable[[Mask, Bounded, Bounded], Mask]


def decider(thresholds: Sequence[Threshold], labels: Sequence[str]) -> Decide | None:
    """Return what says of which images the decision cannot differ; None without thresholds.

    It is given whether the label cannot differ, [N], and the logits of both models. The decision is the same where both
    models certainly abstain, or certainly accept the same label.
    """
    if not thresholds:
        return None

    def decide(same: Mask, trained: Bounded, exported: Bounded) -> Mask:
        both = [_accepted_and_rejected(model, same, thresholds, labels) for model in (trained, exported)]
        (one_accepts, one_rejects), (other_accepts, other_rejects) = both
        return (same & one_accepts & other_accepts) | (one_rejects & other_rejects)

    return decide


def _accepted_and_rejected(
    model: Bounded, same: Mask, thresholds: Sequence[Threshold], labels: Sequence[str]
) -> tuple[Mask, Mask]:
    """Say of which answers it is certain that they pass all thresholds, and of which that they do not: [N] each.

    same: whether the label is certain.
    """
    least, most = model.probabilities()
    answers = model.logits.argmax(axis=1)
    rows = np.arange(len(answers))
    accepts, rejects = np.ones(len(answers), bool), np.zeros(len(answers), bool)
    for threshold in thresholds:
        limit = threshold.probability
        if threshold.label is None:
            accepts &= least[rows, answers] >= limit
            rejects |= most.max(axis=1) < limit
        else:
            place = labels.index(threshold.label)
            accepts &= (answers == place) | (most[:, place] < limit)
            rejects |= same & (answers != place) & (least[:, place] >= limit)
    return accepts, rejects

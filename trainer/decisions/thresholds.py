"""Thresholds that keep to a stated error rate with a stated probability: fixed-sequence testing, exact binomial bounds.

A. Angelopoulos et al., "Learn then Test: Calibrating Predictive Algorithms to Achieve Risk Control", 2021, section 3.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.decided import accepted
from runtime.decision import Threshold

from .demands import CONFIDENCE, fewest

LEVELS = 200  # thresholds that are tried, at most
MOST = 10**6  # images, above which no number is named

Probabilities = NDArray[np.float64]
Targets = NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """Held-out images: their probabilities, float64 [N, K], and targets, int64 [N]."""

    probabilities: Probabilities
    targets: Targets

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the answer is right: [N]."""
        return np.asarray(self.probabilities.argmax(axis=1) == self.targets)

    def some(self, rows: NDArray[np.generic]) -> "Sample":
        """Choose images."""
        return Sample(self.probabilities[rows], self.targets[rows])

    def __len__(self) -> int:
        return len(self.targets)


class Unmet(NamedTuple):
    """A demand that the images do not suffice for.

    demand: as the command line has it.
    fewest: how many answers without an error it takes at least.
    found: how many there were.
    needed: how many held-out images would do at this rate of errors; None where it is too high for any number.
    share: of these images' answers that were wrong, or missed.
    """

    demand: str
    fewest: int
    found: int
    needed: int | None
    share: float


def error_threshold(
    before: Sample, images: Sample, max_error: float, others: Sequence[Threshold], labels: Sequence[str]
) -> Threshold | Unmet:
    """Find the lowest threshold above which, with CONFIDENCE, at most a share `max_error` of the answers is wrong.

    The thresholds to try are the probabilities of the answers in `before`. The first one is where these promise the
    most; then lower ones are tested on `images`, until a test fails.

    before: images that the choice of what to try may see.
    others: thresholds that an answer has to pass besides.
    """
    passing = accepted(before.probabilities, others, labels)
    levels = np.unique(before.probabilities.max(axis=1)[passing])[::-1]
    levels = levels[np.unique(np.linspace(0, len(levels) - 1, min(LEVELS, len(levels))).round().astype(int))]
    counts, errors = _accepted_and_wrong(before, levels, others, labels)
    scale = len(images) / max(1, len(before))
    promise = _p_values(np.floor((errors + 0.5) * scale), np.maximum(counts * scale, 1).round(), max_error)
    start = int(promise.argmin()) if len(levels) else 0
    counts, errors = _accepted_and_wrong(images, levels[start:], others, labels)
    passed = _p_values(errors, counts, max_error) <= 1 - CONFIDENCE
    last = _last(passed)
    if last is None:
        found = (int(counts[0]), int(errors[0])) if len(counts) else (0, 0)
        return _unmet(f"max_error {max_error:g}", max_error, *found, share=len(images))
    level = float(levels[start + last])
    return Threshold(level, None, max_error, CONFIDENCE, len(images), float(counts[last] / len(images)))


def miss_threshold(images: Sample, label: str, max_miss: float, labels: Sequence[str]) -> Threshold | Unmet:
    """Find the largest threshold of a label's probability that still tells its images from others.

    Other answers are accepted where the label's probability is below it. With CONFIDENCE, at most a share `max_miss` of
    the label's images is answered otherwise. Tested from the strictest threshold on, until a test fails.
    """
    place = labels.index(label)
    probability, answers = images.probabilities[:, place], images.probabilities.argmax(axis=1)
    of_label = images.targets == place
    levels = np.quantile(probability, np.linspace(0, 1, LEVELS), method="higher")
    levels = np.unique(np.concatenate([[0.0], levels[levels <= 0.5], [0.5]]))  # above, the label is the answer
    missed = of_label & (answers != place)
    errors = (probability[missed, None] < levels).sum(axis=0)  # [L]
    passed = _p_values(errors, np.full(len(levels), of_label.sum()), max_miss) <= 1 - CONFIDENCE
    last = _last(passed)
    if last is None:
        found = int(of_label.sum())
        return _unmet(f"max_miss {label}={max_miss:g}", max_miss, found, int(errors[0]), share=len(images))
    level = float(levels[last])
    coverage = float(((answers == place) | (probability < level)).mean())
    return Threshold(level, label, max_miss, CONFIDENCE, len(images), coverage)


def _accepted_and_wrong(
    sample: Sample, levels: Probabilities, others: Sequence[Threshold], labels: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the answers that each of the levels accepts, and the wrong ones among them: [L] each."""
    passing = accepted(sample.probabilities, others, labels)
    confidence = sample.probabilities.max(axis=1)
    order = np.sort(confidence[passing])
    wrong = np.sort(confidence[passing & ~sample.right])
    return len(order) - np.searchsorted(order, levels), len(wrong) - np.searchsorted(wrong, levels)


def _p_values(errors: NDArray[np.generic], answers: NDArray[np.generic], rate: float) -> NDArray[np.float64]:
    """Probability of so few errors or fewer, if the rate of errors were `rate`: [L]."""
    from scipy.stats import binom

    return np.asarray(binom.cdf(errors, answers, rate), np.float64)


def _last(passed: NDArray[np.bool_]) -> int | None:
    """The last of the tests before the first that fails."""
    failed = np.flatnonzero(~passed)
    last = int(failed[0]) if len(failed) else len(passed)
    return last - 1 if last else None


def _unmet(demand: str, rate: float, answers: int, errors: int, *, share: int) -> Unmet:
    """Say how many images would do: share / answers of them are held out for each answer."""
    found = errors / max(1, answers)
    needed = answers_for(rate, found)
    images = None if needed is None else math.ceil(needed * share / max(1, answers))
    return Unmet(demand, fewest(rate), answers, images, found)


def answers_for(rate: float, errors: float) -> int | None:
    """How many answers show that at most `rate` is wrong, if a share `errors` is; None for too many, or for any."""
    count = fewest(rate)
    while count <= MOST:
        if _p_values(np.array([math.ceil(errors * count)]), np.array([count]), rate)[0] <= 1 - CONFIDENCE:
            return count
        count = math.ceil(count * 1.05)
    return None

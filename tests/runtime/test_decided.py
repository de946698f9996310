"""Decisions for many images are those for one."""

import numpy as np

from runtime.decided import accepted, prediction_sets
from runtime.decision import Acceptance, Threshold

LABELS = ("a", "b", "c")


def threshold(probability: float, label: str | None = None) -> Threshold:
    return Threshold(probability, label, 0.02, 0.95, 100, 0.9)


def test_accepted_as_one_by_one() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet([1, 1, 1], 500).astype(np.float32)
    probabilities[:20] = np.float32(1 / 3)  # ties
    for thresholds in ([], [threshold(0.5)], [threshold(0.2, "b")], [threshold(0.6), threshold(0.1, "a")]):
        each = Acceptance(thresholds, LABELS)
        due = [each(row, int(row.argmax())) for row in probabilities]
        assert accepted(probabilities, thresholds, LABELS).tolist() == due
    assert accepted(probabilities, [threshold(0.5)], LABELS).sum() not in (0, 500)


def test_sets_always_have_the_likeliest() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.4, 0.35, 0.25]], np.float32)
    assert prediction_sets(probabilities, 0.3).tolist() == [[True, True, False], [True, True, False]]
    assert prediction_sets(probabilities, 0.9).tolist() == [[True, False, False], [True, False, False]]

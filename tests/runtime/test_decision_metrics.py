"""Figures of decisions, counted by hand."""

import numpy as np
import pytest

from runtime.decision import Decision, Familiarity, PredictionSet, Threshold
from runtime.decision_metrics import coverage_curve, decision_metrics

LABELS = ("a", "b", "c")
PROBABILITIES = np.array(
    [[0.9, 0.05, 0.05], [0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.4, 0.35, 0.25]], np.float32
)
TARGETS = np.array([0, 1, 1, 0, 2])
DECISION = Decision(
    thresholds=(Threshold(0.6, None, 0.1, 0.95, 9, 0.5), Threshold(0.15, "a", 0.2, 0.95, 9, 0.5)),
    sets=(PredictionSet(0.9, 0.3, 9),),
    familiarity=Familiarity(-1.0, 0.01, 200),
)


def test_figures_counted_by_hand() -> None:
    """Accepted by both: the first (right), the second (wrong), and the fourth, where a is missed."""
    found = decision_metrics(DECISION, LABELS, TARGETS, PROBABILITIES, np.array([0, -2, 0, -0.5, -1], np.float32))
    assert found["accepted"] == {"images": 5, "coverage": 3 / 5, "error": pytest.approx(2 / 3)}
    assert found["thresholds"] == [
        {"label": None, "max_error": 0.1, "confidence": 0.95, "found": pytest.approx(2 / 3), "images": 3},
        {"label": "a", "max_error": 0.2, "confidence": 0.95, "found": pytest.approx(1 / 2), "images": 2},
    ]
    size = pytest.approx(8 / 5)
    assert found["sets"] == [{"confidence": 0.9, "coverage": 3 / 5, "size": size, "singles": 2 / 5}]
    assert found["familiar"] == 4 / 5


def test_what_there_is_none_of_is_left_out() -> None:
    assert list(decision_metrics(Decision(), LABELS, TARGETS, PROBABILITIES)) == ["curve"]
    none = Decision(thresholds=(Threshold(0.95, None, 0.1, 0.95, 9, 0.5), Threshold(0.5, "c", 0.1, 0.95, 9, 0.5)))
    found = decision_metrics(none, LABELS, np.zeros(5, np.int64), PROBABILITIES)
    assert found["accepted"] == {"images": 5, "coverage": 0.0, "error": None}
    assert [(row["found"], row["images"]) for row in found["thresholds"]] == [(None, 0), (None, 0)]


def test_a_rate_is_that_of_answers_that_pass_all_thresholds() -> None:
    """The fourth is a's and answered otherwise; a's threshold alone accepts that, and the other one does not."""
    thresholds = (Threshold(0.75, None, 0.1, 0.95, 9, 0.5), Threshold(0.5, "a", 0.2, 0.95, 9, 0.5))
    found = decision_metrics(Decision(thresholds=thresholds), LABELS, TARGETS, PROBABILITIES)["thresholds"]
    assert [(row["found"], row["images"]) for row in found] == [(0.0, 1), (0.0, 2)]


def test_a_curve() -> None:
    right = np.array([True, False, True, False, False])
    expected = [[0.2, 0.0], [0.4, 0.5], [0.6, pytest.approx(2 / 3, abs=1e-5)], [0.8, 0.5], [1.0, 0.6]]
    assert coverage_curve(right, PROBABILITIES.max(axis=1)) == expected


def test_a_curve_has_at_most_100_points() -> None:
    found = coverage_curve(np.ones(12_345, bool), np.linspace(0, 1, 12_345))
    assert len(found) == 100
    assert found[-1] == [1.0, 0.0]


def test_answers_of_one_probability_are_accepted_together() -> None:
    """Whatever their order."""
    confidence = np.array([0.5, 1, 1, 1, 0.5], np.float32)
    for right in ([True, True, False, True, False], [False, False, True, True, True]):
        assert coverage_curve(np.array(right), confidence) == [[0.6, pytest.approx(1 / 3, abs=1e-5)], [1.0, 0.4]]

"""Decisions for many images are those for one."""

import numpy as np
import pytest

from runtime.decided import accepted, prediction_sets
from runtime.decision import Acceptance, Decision, PredictionSet, Threshold
from runtime.prediction import Predictor

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


@pytest.mark.parametrize("limit", [0.1, 0.15, 1 / 3, 0.7, 0.9, 0.95])
def test_a_probability_next_to_a_threshold(limit: float) -> None:
    """0.7 in float32 is below 0.7: many images are compared as one is, in float64."""
    middle = np.float32(limit)
    near = np.array([middle, np.nextafter(middle, np.float32(0)), np.nextafter(middle, np.float32(1))])
    rest = (1 - near) / 2
    probabilities = np.stack([near, rest, rest], axis=1)[:, [1, 0, 2]]
    for thresholds in ([threshold(limit)], [threshold(limit, "b")], [threshold(limit, "a"), threshold(limit)]):
        each = Acceptance(thresholds, LABELS)
        due = [each(row, int(row.argmax())) for row in probabilities]
        assert accepted(probabilities, thresholds, LABELS).tolist() == due
    predict = Predictor(LABELS, Decision(sets=(PredictionSet(0.9, limit, 100),)))
    for row, inside in zip(probabilities, prediction_sets(probabilities, limit), strict=True):
        order = np.argsort(-row, kind="stable")
        assert predict(row, 1, None, 0.9).set == tuple(LABELS[place] for place in order if inside[place])
        assert inside.tolist() == [place == order[0] or row.item(place) >= limit for place in range(3)]


def test_sets_as_one_by_one() -> None:
    generator = np.random.default_rng(1)
    probabilities = np.round(generator.dirichlet([1, 1, 1], 500), 1).astype(np.float32)  # with many ties
    for limit in (0.0, 0.1, 0.3, 0.5, 1.0):
        predict = Predictor(LABELS, Decision(sets=(PredictionSet(0.9, limit, 100),)))
        for row, inside in zip(probabilities, prediction_sets(probabilities, limit), strict=True):
            order = np.argsort(-row, kind="stable")
            assert predict(row, 1, None, 0.9).set == tuple(LABELS[place] for place in order if inside[place])

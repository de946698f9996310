"""Which decisions are certain: by the extremes of all logits within their errors, drawn at random."""

import numpy as np
import pytest
from scipy.special import softmax

from export.arithmetic.decided import Bounded, decider
from runtime.decided import accepted
from runtime.decision import Threshold

LABELS = ("a", "b", "c")
RNG = np.random.default_rng(0)


def threshold(probability: float, label: str | None = None) -> Threshold:
    return Threshold(probability, label, 0.02, 0.95, 100, 0.9)


def model(count: int, error: float) -> Bounded:
    logits = RNG.normal(0, 2, (count, 3))
    return Bounded(logits, RNG.uniform(0, error, logits.shape))


def drawn(bounded: Bounded, draws: int = 300) -> list[np.ndarray]:
    """Probabilities within the bounds, corners among them."""
    signs = RNG.choice([-1.0, 1.0, 0.3], (draws, *bounded.logits.shape))
    return [softmax(bounded.logits + sign * bounded.errors, axis=1) for sign in signs]


def test_the_limits_of_a_probability_are_reached_and_not_exceeded() -> None:
    bounded = model(50, 0.5)
    least, most = bounded.probabilities()
    corners = [np.array([[1, -1, -1], [-1, 1, -1], [-1, -1, 1]][place]) for place in range(3)]
    for place, corner in enumerate(corners):
        high, low = (softmax(bounded.logits + sign * corner * bounded.errors, axis=1) for sign in (1, -1))
        np.testing.assert_allclose(most[:, place], high[:, place], rtol=1e-5)
        np.testing.assert_allclose(least[:, place], low[:, place], rtol=1e-5)
    for probabilities in drawn(bounded):
        assert ((least <= probabilities) & (probabilities <= most)).all()


@pytest.mark.parametrize(
    "thresholds", [[threshold(0.7)], [threshold(0.2, "b")], [threshold(0.6), threshold(0.15, "a")]]
)
def test_what_is_certain_holds_for_every_logit_within_the_bounds(thresholds: list[Threshold]) -> None:
    trained, exported = model(400, 0.2), None
    exported = Bounded(trained.logits + RNG.normal(0, 0.02, trained.logits.shape), trained.errors)
    answers = [[softmax(part.logits, axis=1), *drawn(part)] for part in (trained, exported)]
    labels = np.array([probabilities.argmax(axis=1) for part in answers for probabilities in part])
    same = (labels == labels[0]).all(axis=0)
    decide = decider(thresholds, LABELS)
    assert decide is not None
    certain = decide(same, trained, exported)
    passed = np.array([accepted(one, thresholds, LABELS) for part in answers for one in part])
    assert (passed[:, certain] == passed[0, certain]).all()
    assert 0.5 < certain.mean() < 1
    rejected = certain & ~passed[0]
    assert rejected.any()
    assert (certain & passed[0]).any()
    assert same[certain & passed[0]].all()


def test_abstaining_is_certain_though_the_label_is_not() -> None:
    close = Bounded(np.array([[0.0, 0.0, -0.1]]), np.full((1, 3), 0.05))
    decide = decider([threshold(0.9)], LABELS)
    assert decide is not None
    assert decide(np.array([False]), close, close).tolist() == [True]


def test_without_thresholds_there_is_none() -> None:
    assert decider([], LABELS) is None

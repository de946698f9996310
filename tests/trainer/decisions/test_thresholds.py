"""Thresholds: scipy's exact intervals, the least number of answers, and the guarantee over many draws."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from runtime.decided import accepted
from runtime.decision import Threshold
from trainer.decisions.demands import Demands, fewest
from trainer.decisions.thresholds import Sample, Unmet, answers_for, error_threshold, miss_threshold
from trainer.errors import ConfigError

LABELS = ("a", "b", "c")


def sample(count: int, seed: int, classes: int = 3) -> Sample:
    """Images whose probabilities hold."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, (count, classes))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = np.array([generator.choice(classes, p=row) for row in probabilities])
    return Sample(probabilities, targets)


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.02, 0.05, 0.3])
def test_the_fewest_answers(rate: float) -> None:
    """As many as have an upper limit of at most the rate, by scipy's interval of Clopper and Pearson."""
    count = fewest(rate)
    upper = [binomtest(0, n, alternative="less").proportion_ci(0.95).high for n in (count, count - 1)]
    assert upper[0] <= rate < upper[1]


def test_two_percent_takes_149_answers() -> None:
    assert fewest(0.02) == 149


def test_the_threshold_has_the_exact_bound() -> None:
    before, images = sample(600, 1), sample(2000, 2)
    found = error_threshold(before, images, 0.05, [], LABELS)
    assert isinstance(found, Threshold)
    passed = accepted(images.probabilities, [found], LABELS)
    errors, answers = int((~images.right)[passed].sum()), int(passed.sum())
    assert binomtest(errors, answers, alternative="less").proportion_ci(0.95).high <= 0.05
    assert found.coverage == pytest.approx(answers / 2000)
    assert (found.label, found.max_error, found.confidence, found.images) == (None, 0.05, 0.95, 2000)
    assert 0.3 < found.coverage < 0.95


def test_the_guarantee_holds() -> None:
    """Over 300 draws, the true error exceeds the rate in at most 5 %, and sampling error of that."""
    truth, exceeded, found = sample(40_000, 99), 0, 0
    for seed in range(300):
        threshold = error_threshold(sample(200, 1000 + seed), sample(400, 2000 + seed), 0.1, [], LABELS)
        if isinstance(threshold, Threshold):
            found += 1
            passed = accepted(truth.probabilities, [threshold], LABELS)
            exceeded += (~truth.right)[passed].mean() > 0.1
    assert found > 200
    assert exceeded <= 0.05 * 300 + 2 * math.sqrt(300 * 0.05 * 0.95)


def test_too_few_images_say_how_many_are_needed() -> None:
    found = error_threshold(sample(30, 1), sample(60, 2), 0.02, [], LABELS)
    assert isinstance(found, Unmet)
    assert found.fewest == 149
    assert found.found <= 60
    assert found.demand == "max_error 0.02"
    assert found.needed is None or found.needed > 60


def test_no_answer_at_all() -> None:
    even = Sample(np.full((40, 3), 1 / 3), np.arange(40) % 3)
    found = error_threshold(even, even, 0.05, [], LABELS)
    assert isinstance(found, Unmet)
    assert found.needed is None
    blocked = Threshold(0.0, "b", 0.01, 0.95, 40, 0.0)  # accepts b alone
    assert isinstance(error_threshold(even, even, 0.05, [blocked], LABELS), Unmet)


@pytest.mark.parametrize(("rate", "errors", "least"), [(0.02, 0.0, 149), (0.02, 0.01, 300), (0.05, 0.0, 59)])
def test_answers_for(rate: float, errors: float, least: int) -> None:
    found = answers_for(rate, errors)
    assert found is not None
    assert found >= least
    assert binomtest(math.ceil(errors * found), found, rate, alternative="less").pvalue <= 0.05


def test_no_number_of_answers_suffices() -> None:
    assert answers_for(0.02, 0.02) is None


def test_a_label_that_must_not_be_missed() -> None:
    images = sample(4000, 3)
    found = miss_threshold(images, "b", 0.05, LABELS)
    assert isinstance(found, Threshold)
    passed, answers = accepted(images.probabilities, [found], LABELS), images.probabilities.argmax(axis=1)
    of_label = images.targets == 1
    missed = int((of_label & (answers != 1) & passed).sum())
    assert binomtest(missed, int(of_label.sum()), alternative="less").proportion_ci(0.95).high <= 0.05
    assert found.coverage == pytest.approx(passed.mean())
    assert (found.label, found.max_error) == ("b", 0.05)


def test_the_guarantee_for_a_label_holds() -> None:
    truth, exceeded = sample(40_000, 98), 0
    of_label, answers = truth.targets == 0, truth.probabilities.argmax(axis=1)
    for seed in range(200):
        found = miss_threshold(sample(300, 3000 + seed), "a", 0.1, LABELS)
        assert isinstance(found, Threshold)
        passed = accepted(truth.probabilities, [found], LABELS)
        exceeded += (of_label & (answers != 0) & passed).sum() / of_label.sum() > 0.1
    assert exceeded <= 0.05 * 200 + 2 * math.sqrt(200 * 0.05 * 0.95)


def test_too_few_images_of_a_label() -> None:
    found = miss_threshold(sample(100, 4), "c", 0.01, LABELS)
    assert isinstance(found, Unmet)
    assert (found.demand, found.fewest) == ("max_miss c=0.01", 299)
    assert found.needed is not None
    assert found.needed > 100


def test_demands() -> None:
    assert not Demands().any
    assert Demands().images({}) == 0
    assert Demands(0.02).images({"a": 0.5}) == 3 * 149
    assert Demands(None, {"a": 0.02}).images({"a": 0.5}) == 3 * 298
    assert Demands(0.02, {"a": 0.02}).images({"a": 0.5}) == 6 * 298
    with pytest.raises(ConfigError, match="max_miss: expected a label out of a, b, c, found 'd'"):
        Demands(None, {"d": 0.1}).check(LABELS)

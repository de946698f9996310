"""Prediction sets against MAPIE's."""

import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from runtime.decided import prediction_sets as sets_of
from tests.trainer.decisions.test_thresholds import sample
from trainer.decisions.sets import LEVELS, prediction_sets

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from mapie.classification import SplitConformalClassifier


class Given(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier whose features are its probabilities."""

    def fit(self, features: object, targets: object) -> "Given":  # noqa: ARG002 - scikit-learn's call
        self.classes_ = np.arange(3)
        return self

    def predict_proba(self, features: object) -> object:
        return features

    def predict(self, features: object) -> object:
        return np.asarray(features).argmax(axis=1)


@pytest.mark.parametrize("count", [120, 999])
@pytest.mark.filterwarnings("ignore")
def test_the_sets_are_mapies(count: int) -> None:
    images, others = sample(count, 1), sample(500, 2)
    theirs = SplitConformalClassifier(
        Given().fit(None, None), confidence_level=list(LEVELS), conformity_score="lac", prefit=True
    )
    theirs.conformalize(images.probabilities, images.targets)
    _, expected = theirs.predict_set(others.probabilities)  # [N, K, L]
    for place, found in enumerate(prediction_sets(images)):
        assert (found.confidence, found.images) == (LEVELS[place], count)
        ours, due = others.probabilities >= found.probability, expected[:, :, place]
        assert (ours == due).mean() > 0.998  # scores of 1 − p round otherwise at the threshold itself
        assert sets_of(others.probabilities, found.probability).any(axis=1).all()


def test_levels_that_the_images_do_not_suffice_for_are_left_out() -> None:
    assert [found.confidence for found in prediction_sets(sample(18, 1))] == [0.90]
    assert [found.confidence for found in prediction_sets(sample(98, 1))] == [0.90, 0.95]
    assert [found.confidence for found in prediction_sets(sample(99, 1))] == [0.90, 0.95, 0.99]
    assert prediction_sets(sample(8, 1)) == ()


def test_the_sets_cover_what_they_state() -> None:
    truth = sample(20_000, 50)
    for level in range(3):
        covered = []
        for seed in range(200):
            found = prediction_sets(sample(150, 100 + seed))[level]
            covered.append((truth.probabilities[np.arange(20_000), truth.targets] >= found.probability).mean())
        assert np.mean(covered) >= LEVELS[level] - 0.005

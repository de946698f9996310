"""A tuned scikit-learn: LogisticRegression on standardised pixels, its C chosen on a split of the training images."""

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

CS = 10.0 ** np.arange(-5, 2)  # 10⁻⁵ … 10
ITERATIONS = 200
HELD_OUT, FOLDS = 0.2, 5


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What was fitted. seconds: of processor time, the choice of C included."""

    classifier: Pipeline
    c: float
    seconds: float

    def figures(self, images: NDArray[np.uint8], targets: NDArray[np.int64]) -> tuple[float, float]:
        """Return accuracy and mean loss in nats on images [N, ...]."""
        probabilities = self.classifier.predict_proba(images.reshape(len(images), -1))
        found = float((probabilities.argmax(axis=1) == targets).mean())
        return found, float(log_loss(targets, probabilities, labels=self.classifier.classes_))


def tune(images: NDArray[np.uint8], targets: NDArray[np.int64]) -> Tuned:
    """Choose C by the log loss on a stratified fifth of the training images, seed 0, and refit on all.

    images: [N, ...]. targets: [N].
    """
    started, pixels = time.process_time(), images.reshape(len(images), -1)
    x, held, y, held_targets = train_test_split(pixels, targets, test_size=HELD_OUT, stratify=targets, random_state=0)
    losses = []
    for c in CS:
        probabilities = _fitted(x, y, c).predict_proba(held)
        losses.append(log_loss(held_targets, probabilities, labels=np.unique(y)))
    best = float(CS[int(np.argmin(losses))])
    return Tuned(classifier=_fitted(pixels, targets, best), c=best, seconds=time.process_time() - started)


def tune_on_folds(images: NDArray[np.uint8], targets: NDArray[np.int64], seed: int) -> Tuned:
    """Choose C by the log loss on five folds, for sets too small for a stratified fifth, and refit on all.

    Held-out images of a class that the other folds lack do not count.
    """
    started, pixels, losses = time.process_time(), images.reshape(len(images), -1), np.zeros(len(CS))
    for fitted, held in KFold(FOLDS, shuffle=True, random_state=seed).split(pixels):
        known = held[np.isin(targets[held], targets[fitted])]
        for place, c in enumerate(CS if len(known) else ()):
            classifier = _fitted(pixels[fitted], targets[fitted], c)
            chances = classifier.predict_proba(pixels[known])
            losses[place] += log_loss(targets[known], chances, labels=classifier.classes_, normalize=False)
    best = float(CS[int(np.argmin(losses))])
    return Tuned(classifier=_fitted(pixels, targets, best), c=best, seconds=time.process_time() - started)


def _fitted(pixels: NDArray[np.uint8], targets: NDArray[np.int64], c: float) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=ITERATIONS)).fit(pixels, targets)

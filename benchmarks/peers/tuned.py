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
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

CS = 10.0 ** np.arange(-5, 2)  # 10⁻⁵ … 10
ITERATIONS = 200
HELD_OUT = 0.2


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


def _fitted(pixels: NDArray[np.uint8], targets: NDArray[np.int64], c: float) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=ITERATIONS)).fit(pixels, targets)

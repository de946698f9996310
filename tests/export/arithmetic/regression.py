"""A logistic regression that scikit-learn has trained, to quantise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Digits:
    """scikit-learn's logistic regression on its digits. logits: its own, of the held-out images [597, 10]."""

    weights: Floats
    bias: Floats
    train: NDArray[np.uint8]
    held_out: NDArray[np.uint8]
    logits: Floats


def train() -> Digits:
    """Train on 1,200 of the digits."""
    images, targets = load_digits(return_X_y=True)
    images = np.rint(images / 16 * 255).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(images))
    training, held_out = images[order[:1200]], images[order[1200:]]
    model = LogisticRegression(max_iter=3000).fit(training / 255, targets[order[:1200]])
    return Digits(
        weights=model.coef_.T / 255,
        bias=model.intercept_,
        train=training,
        held_out=held_out,
        logits=model.decision_function(held_out / 255),
    )

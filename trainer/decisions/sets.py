"""Prediction sets: split conformal prediction, with the probability of the true label as the score.

M. Sadinle, J. Lei and L. Wasserman, "Least Ambiguous Set-Valued Classifiers with Bounded Error Levels", JASA 2019.
"""

import math

import numpy as np

from runtime.decision import PredictionSet

from .thresholds import Sample

LEVELS = (0.90, 0.95, 0.99)


def prediction_sets(images: Sample) -> tuple[PredictionSet, ...]:
    """Find, for each level, the probability that the true label of so many images has at least.

    The ⌊(n + 1)·(1 − level)⌋-th smallest of n; levels that n is too small for are left out.
    """
    found = np.sort(images.probabilities[np.arange(len(images)), images.targets])
    places = {level: math.floor((len(images) + 1) * (1 - level) + 1e-9) for level in LEVELS}
    return tuple(PredictionSet(level, float(found[place - 1]), len(images)) for level, place in places.items() if place)

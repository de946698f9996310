"""How near features lie to those of the training images: a Gaussian for each class, of one covariance for all.

K. Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks", NeurIPS
2018, with the covariance of probabilistic PCA: M. Tipping and C. Bishop, JRSS B 61(3), 1999, equation 7.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

DIRECTIONS = 16
MOST_CLASSES = 32  # with more, one Gaussian for all

Values = NDArray[np.float64]


class Density(NamedTuple):
    """Distances to the K means: ‖y‖²/ρ − ‖y·along‖² + y·linear + constant, of y = sign(x)·√|x/scale| − mean.

    scale: of the features, one number.
    mean: [D].
    residual: ρ, the variance of the directions that are not in `along`.
    along: [D, R], directions of the largest variances λ, each times √(1/ρ − 1/λ).
    linear: [D, K].
    constant: [K].
    """

    scale: float
    mean: Values
    residual: float
    along: Values
    linear: Values
    constant: Values

    def distances(self, features: NDArray[np.floating[Any]]) -> Values:
        """Squared Mahalanobis distance of features [N, D] to the nearest mean, divided by D: [N]."""
        centred = rooted(features, self.scale) - self.mean
        squares = (centred**2).sum(axis=1) / self.residual - ((centred @ self.along) ** 2).sum(axis=1)
        found: Values = (squares[:, None] + centred @ self.linear + self.constant).min(axis=1) / len(self.mean)
        return found


def rooted(features: NDArray[np.floating[Any]], scale: float) -> Values:
    """sign(x)·√|x/scale|, in float64: nearer to a Gaussian than the features."""
    exact = features.astype(np.float64)
    found: Values = np.sign(exact) * np.sqrt(np.abs(exact / scale))
    return found


def density_of(features: NDArray[np.float32], targets: NDArray[np.int64]) -> Density:
    """Fit the Gaussians: features [N, D], int64 [N]."""
    from sklearn.utils.extmath import randomized_svd

    scale = float(np.abs(features, dtype=np.float64).mean()) or 1.0
    values = rooted(features, scale)
    present, places = np.unique(targets, return_inverse=True)
    if len(present) > MOST_CLASSES:
        present, places = present[:1], np.zeros_like(places)
    means = np.stack([values[places == place].mean(axis=0) for place in range(len(present))])  # [K, D]
    count, size = values.shape
    mean, within = values.mean(axis=0), values - means[places]
    wanted = min(DIRECTIONS, size - 1, count - 1)
    _, singular, directions = randomized_svd(within, max(1, wanted), random_state=0)  # [R], [R, D]
    largest = singular**2 / count
    total = float((within**2).sum()) / count
    residual = max((total - float(largest.sum())) / max(1, size - len(largest)), 1e-9)
    more = np.maximum(0, 1 / residual - 1 / np.maximum(largest, residual))  # [R]
    along = directions.T * np.sqrt(more)  # [D, R]
    offsets = means - mean  # [K, D]
    linear = -2 * (offsets / residual - (offsets @ along) @ along.T).T
    constant = (offsets**2).sum(axis=1) / residual - ((offsets @ along) ** 2).sum(axis=1)
    return Density(scale, mean, residual, along, linear, constant)

"""Calibration: what logits are divided by, and what is added to them then, so that probabilities hold.

C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.2: temperature and bias by maximum
likelihood, on images that the fit has not seen.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FOLDS = 5
FEWEST = 20  # images, below which nothing is fitted
SURE = 2.0  # standard errors
TEMPERATURES = (0.05, 20.0)
PRIOR = 0.35  # standard deviation of the logarithm of the temperature, and of a bias, before any image is seen

Logits = NDArray[np.float64]
Targets = NDArray[np.int64]


class Calibration(NamedTuple):
    """Calibrated logits are logits / temperature + bias; no bias is one of 0."""

    temperature: float = 1.0
    bias: tuple[float, ...] | None = None

    def __call__(self, logits: Logits) -> Logits:
        """Calibrate logits [N, K]."""
        return logits / self.temperature + (0.0 if self.bias is None else np.array(self.bias))


def calibrate(logits: Logits, targets: Targets) -> Calibration:
    """Choose between the logits as they are, a temperature, and a temperature with a bias.

    Each is fitted on four fifths of the images and measured on the fifth, in turn. A later one is taken only if its
    loss is lower by more than two standard errors of the difference, even if the second label were right in one image
    more; a bias besides only if no fewer answers are right.

    logits: [N, K]. targets: int64 [N].
    """
    if len(targets) < FEWEST:
        return Calibration()
    fold = np.random.default_rng(0).permutation(len(targets)) % FOLDS
    chosen, before = Calibration(), logits
    right, second = (logits.argmax(axis=1) == targets).sum(), np.argsort(logits, axis=1)[:, -2]
    for with_bias in (False, True):
        held = np.empty_like(logits)
        for part in range(FOLDS):
            found = fitted(logits[fold != part], targets[fold != part], with_bias=with_bias)
            held[fold == part] = found(logits[fold == part])
        gains, worse = (losses(before, labels) - losses(held, labels) for labels in (targets, second))  # [N]
        gains = np.append(gains, worse.mean())
        enough = gains.mean() > SURE * gains.std(ddof=1) / np.sqrt(len(gains))
        if enough and (held.argmax(axis=1) == targets).sum() >= right:
            chosen, before = fitted(logits, targets, with_bias=with_bias), held
    return chosen


def losses(logits: Logits, targets: Targets) -> NDArray[np.float64]:
    """Cross-entropy of each image, in nats: [N, K], int64 [N] → [N]."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    found: NDArray[np.float64] = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(targets)), targets]
    return found


def fitted(logits: Logits, targets: Targets, *, with_bias: bool) -> Calibration:
    """Fit a temperature, and a bias of mean 0, at the maximum of the posterior: few images change little."""
    from scipy.optimize import minimize

    classes = logits.shape[1]
    onehot = np.eye(classes)[targets]

    def objective(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Mean loss with the prior, and its gradient, at the logarithm of 1 / temperature and at the bias."""
        steepness = np.exp(parameters[0])
        scaled = logits * steepness + parameters[1:]
        exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        error = exponentials / exponentials.sum(axis=1, keepdims=True) - onehot  # [N, K]
        gradient = np.concatenate([[(error * logits).sum() * steepness], error.sum(axis=0)]) + parameters / PRIOR**2
        value = losses(scaled, targets).sum() + (parameters**2).sum() / (2 * PRIOR**2)
        return float(value / len(targets)), gradient / len(targets)

    free = (None, None) if with_bias else (0.0, 0.0)
    bounds = [tuple(-np.log(TEMPERATURES[::-1])), *[free] * classes]
    found = minimize(objective, np.zeros(1 + classes), jac=True, method="L-BFGS-B", bounds=bounds).x
    bias = found[1:] - found[1:].mean()
    return Calibration(float(np.exp(-found[0])), tuple(bias.tolist()) if with_bias else None)

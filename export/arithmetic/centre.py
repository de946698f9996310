"""Numbers for images of low contrast, whose large terms cancel: sums in plain float32 would round too much.

The pixels are centred, and the weights are split into multiples of a step and a rest. The multiples are integers so
small that float32 sums them exactly, in any order; the largest of these sums is subtracted from all before the rest,
which is small, is added. A softmax does not change by what is subtracted from all its logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.checkpoint import Checkpoint

from .bound import FLOAT32_ROUNDING, WHITE, CentredArithmetic

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXACT = 2**24 - 1  # float32 has all integers up to this
MEAN, VARIANCE = WHITE / 2, WHITE**2 / 12  # of uniform pixels
BLOCK = 256  # of onnxruntime and torch
LARGEST_ERROR = 3.5e-6  # estimated; the largest one seen is about twice the estimate, and 1e-5 is allowed


@dataclass(frozen=True, kw_only=True)
class Centred:
    """The numbers of a float32 artefact that subtracts a centre from the pixels.

    Its logits are step · (S − max S) + x·rest + bias, for centred pixels x and S = x·multiples.

    centre: uint8 [C] or [H, W, C].
    multiples: float32 [D, K], integers: no sum of their products with centred pixels is above 2²⁴.
    step: float32 [], a power of 2.
    rest: float32 [D, K].
    bias: float32 [K].
    """

    centre: NDArray[np.uint8]
    multiples: NDArray[np.float32]
    step: NDArray[np.float32]
    rest: NDArray[np.float32]
    bias: NDArray[np.float32]

    def arithmetic(self) -> CentredArithmetic:
        """Return what such an artefact computes: the sums of the rest round, those of the multiples do not."""
        rest, centre = self.rest.astype(np.float64), by_feature(self.centre, len(self.rest))
        weights = self.multiples * np.float64(self.step) + rest
        return CentredArithmetic.of(weights, rest, centre, self.bias, roundings=len(weights) + 2)


def rounding_error(weights: NDArray[np.float64], block: int = BLOCK) -> float:
    """Estimate the rounding error of a probability, near 0.5, of random images in float32: its standard deviation.

    Each addition rounds the sum so far by up to u = 2⁻²⁴ of it; the errors are taken as independent. With weights
    [D, K] and uniform pixels x, Σ(x·w)² and Σx·w say how large these sums become, in the blocks of a matrix product and
    from block to block. N. Higham and T. Mary, "A New Approach to Probabilistic Rounding Error Analysis", 2019.

    block: terms that a matrix product adds up before it adds them to the others, about.
    """
    features = len(weights)
    block = min(block, features)
    walk, drift = (weights**2).sum(axis=0) * (MEAN**2 + VARIANCE) / 2, largest_sums(weights)  # [K]
    inside = block * (walk + (drift * block / features) ** 2 / 3)
    between = features / block * (walk + drift**2 / 3)
    return _of_a_probability(np.sqrt((inside + between) / 3))


def conversion_error(weights: NDArray[np.float64]) -> float:
    """Estimate the same where the sums are exact: they round when they become float32, are scaled, and the bias added.

    weights: [D, K], for pixels 0-255.
    """
    return _of_a_probability(largest_sums(weights))


def largest_sums(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what Σ x·w comes to, of the largest of some hundred images of uniform pixels: [D, K] → [K]."""
    result: NDArray[np.float64] = MEAN * np.abs(weights.sum(axis=0)) + 3 * np.sqrt(VARIANCE * (weights**2).sum(axis=0))
    return result


def _of_a_probability(sums: NDArray[np.float64]) -> float:
    """Return the error of a probability near 0.5 from the roundings of logits, each of a size of `sums`, [K].

    The error of a difference of two logits is √2 times as large, and the slope of the softmax at 0.5 is 1/4.
    """
    return float(FLOAT32_ROUNDING * sums.max() * np.sqrt(2) / 4)


def centre_of(checkpoint: Checkpoint) -> NDArray[np.uint8]:
    """Return the mean of the training pixels, rounded: of each channel, [C], or of each pixel, [H, W, C]."""
    means = checkpoint.mean if checkpoint.centre is None else checkpoint.centre.reshape(checkpoint.image.shape)
    return np.rint(means).clip(0, WHITE).astype(np.uint8)


def by_feature(centre: NDArray[np.uint8], features: int) -> NDArray[np.float64]:
    """Lay a centre out pixel by pixel: float64 [D]."""
    return np.resize(centre.ravel(), features).astype(np.float64)


def centred_on(centre: NDArray[np.uint8], weights: NDArray[np.float64], bias: NDArray[np.float64]) -> Centred:
    """Centre the pixels, and split the weights: [D, K] and [K], for pixels 0-255."""
    pixels = by_feature(centre, len(weights))[:, None]  # [D, 1]
    reach = np.maximum(pixels, WHITE - pixels)
    step = 2.0 ** np.ceil(np.log2((np.abs(weights) * reach).sum(axis=0).max() / EXACT))
    while (np.abs(np.rint(weights / step)) * reach).sum(axis=0).max() > EXACT:
        step *= 2
    multiples = np.rint(weights / step)
    return Centred(
        centre=centre,
        multiples=multiples.astype(np.float32),
        step=np.array(step, np.float32),
        rest=(weights - step * multiples).astype(np.float32),
        bias=(bias + (pixels * weights).sum(axis=0)).astype(np.float32),
    )

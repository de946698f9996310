"""Quantises weights to 8 bits with the smallest change of the logits of real images."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ExportError
from .bound import WHITE, Arithmetic, CentredArithmetic
from .centre import LARGEST_ERROR, by_feature, conversion_error

Floats = NDArray[np.float64]

ZERO, LARGEST = 128, 127  # zero point; integer weights without it are -127 to 127
SHARES = (1.0, 0.9, 0.75, 0.5)  # scales to try, as shares of the one that clips no weight
RIDGE = 0.3  # in mean pixel variances; 0.2 to 0.5 are about as good on held-out images
PASSES = 4  # without a limit, the error on held-out images is about 1 % lower
GRID = 2**12  # weights are first rounded to multiples of 1 / GRID
BLOCK = 64  # pixels in a Gram matrix


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """The numbers of an int8 artefact.

    weights: uint8 [D, K], with zero point 128.
    scale: float32 [K], one a class.
    bias: float32 [K].
    centre: uint8 [C] or [H, W, C], subtracted from the pixels; all scales are the same then, so that the largest sum
        can be subtracted from all of them. None for neither.
    """

    weights: NDArray[np.uint8]
    scale: NDArray[np.float32]
    bias: NDArray[np.float32]
    centre: NDArray[np.uint8] | None = None

    def arithmetic(self) -> Arithmetic:
        """Return what such an artefact computes: exact integer sums; their conversion, the scale and the bias round."""
        weights = self.scale * (self.weights.astype(np.float64) - ZERO)
        if self.centre is None:
            return Arithmetic(weights=weights, bias=self.bias.astype(np.float64), roundings=3)
        centre = by_feature(self.centre, len(weights))
        return CentredArithmetic.of(weights, np.zeros_like(weights), centre, self.bias, roundings=3)

    def offset(self) -> NDArray[np.int32]:
        """Return the integer sums of the centre, int32 [K]; 0 without one."""
        if self.centre is None:
            return np.zeros(len(self.bias), np.int32)
        sums = by_feature(self.centre, len(self.weights)) @ (self.weights.astype(np.float64) - ZERO)
        return sums.astype(np.int32)


def quantise(
    weights: Floats, bias: Floats, sample: NDArray[np.uint8], centre: NDArray[np.uint8] | None = None
) -> Quantised:
    """Quantise weights to 8 bits, with one scale a class; the bias corrects the mean error.

    Minimises the squared error of the sample's logits, not that of the weights (Nagel et al. 2020, "Up or Down?
    Adaptive Rounding for Post-Training Quantization"). Equal inputs give equal outputs.

    weights, bias: [D, K] and [K], for pixels 0-255.
    sample: uint8 [S, ...], S ≥ 1 training images of D pixels.
    centre: as of `Quantised`, to be used where the sums would round too much.
    Raises ExportError where the sample has another size, where float32 cannot hold a scale or the logits, or where the
    int32 sum of pixels times integer weights could overflow for some image.
    """
    pixels = _by_pixel(sample, len(weights))
    mean, squares = pixels.mean(axis=1), np.concatenate([(x * x).sum(axis=1) for _, x in _blocks(pixels)])  # [D]
    ridge = RIDGE * (squares.sum() + squares.size * len(sample)) / squares.size
    scale = _choose_scale(weights, bias, squares + ridge)
    if conversion_error(weights) <= LARGEST_ERROR or 2 * WHITE * LARGEST * len(weights) >= 2**31:
        centre = None
    scale = scale if centre is None else np.full_like(scale, scale.max())
    origin = np.zeros(len(weights)) if centre is None else by_feature(centre, len(weights))
    levels = _descend(np.rint(weights / scale * GRID) / GRID, pixels, ridge)
    _check_sums(levels)
    error = scale * levels - weights
    corrected = bias + (origin[:, None] * weights).sum(axis=0) - ((mean - origin)[:, None] * error).sum(axis=0)
    return Quantised(
        weights=(levels + ZERO).astype(np.uint8),
        scale=scale.astype(np.float32),
        bias=corrected.astype(np.float32),
        centre=centre,
    )


def _descend(weights: Floats, pixels: NDArray[np.uint8], ridge: float) -> Floats:
    """Return integers [D, K] for weights [D, K] in units of the scale.

    Coordinate descent on Σ(X·e)² + λ·Σe², with e = integers − weights and X the sample less its rounded mean. It starts
    from the weights themselves: in the first pass each pixel compensates the rounding errors of those before it
    (Lybrand & Saab 2021, "A Greedy Algorithm for Quantizing Neural Networks"). The later passes are those of QuantEase
    (Behdin et al. 2023), the blocks with late updates those of GPTQ (Frantar et al. 2022).

    λ = RIDGE · (mean pixel variance + 1), times S, shrinks the sample's covariance towards a multiple of I (Ledoit &
    Wolf 2004). A pixel that hardly varies in the sample, but may elsewhere, then stays near its nearest integer. The
    1 is for samples in which no pixel varies.

    All sums are of multiples of 1 / GRID that float64 holds exactly. The result is the same in any order of summation,
    and so on any processor.
    """
    levels, residual = weights.copy(), np.zeros((pixels.shape[1], weights.shape[1]))  # [D, K]; [S, K], X·e
    for _ in range(PASSES):
        before = residual.copy()
        for rows, x in _blocks(pixels):
            pull = ridge * (levels[rows] - weights[rows])
            residual += x.T @ _round_block(levels[rows], x @ residual, pull, x @ x.T, ridge)
        if np.array_equal(residual, before):
            break
    return levels


def _round_block(levels: Floats, slope: Floats, pull: Floats, gram: Floats, ridge: float) -> Floats:
    """Set levels [B, K] in place, one by one, to the best integers given all others; return the change [B, K].

    slope: [B, K], gradient of Σ(X·e)² / 2.
    pull: [B, K], gradient of λ·Σe² / 2.
    gram: [B, B], Gram matrix of the block's pixels.
    """
    change = np.zeros_like(levels)
    for j in range(len(levels)):
        gradient = slope[j] + gram[j, :j] @ change[:j] + pull[j]  # [K]
        best = _nearest(levels[j] - gradient / (gram[j, j] + ridge))
        change[j], levels[j] = best - levels[j], best
    return change


def _nearest(values: Floats) -> Floats:
    return np.rint(values).clip(-LARGEST, LARGEST)


def _blocks(pixels: NDArray[np.uint8]) -> Iterator[tuple[slice, Floats]]:
    """Yield blocks of pixels less their rounded means over the sample: integers [≤ BLOCK, S]."""
    for start in range(0, len(pixels), BLOCK):
        rows = slice(start, start + BLOCK)
        yield rows, pixels[rows] - np.rint(pixels[rows].mean(axis=1, keepdims=True))


def _by_pixel(sample: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    if sample.dtype != np.uint8 or not len(sample) or sample[0].size != count:
        raise ExportError(
            f"expected a sample of one or more uint8 images of {count} pixels, "
            f"found {sample.dtype} {list(sample.shape)}: pass raw training images of the model's size"
        )
    return np.ascontiguousarray(sample.reshape(-1, count).T)  # [D, S]


def _choose_scale(weights: Floats, bias: Floats, curvature: Floats) -> Floats:
    """Choose each class's scale [K] with the least cost of rounding to nearest, for uncorrelated pixels.

    A class whose weights are all 0 has scale 1.

    curvature: [D], cost of a squared error in a pixel's weight.
    """
    largest, float32 = np.abs(weights).max(axis=0), np.finfo(np.float32)
    low, high = float(float32.tiny) * LARGEST / min(SHARES), float(float32.max) / (2048 * len(weights))
    fits = ((largest == 0) | (low <= largest) & (largest <= high)) & (np.abs(bias) <= float32.max / 2)
    for k in np.flatnonzero(~fits):
        raise ExportError(
            f"expected a largest weight of 0 or {low:.1e} to {high:.1e}, and a bias that float32 can hold, "
            f"found {largest[k]:.1e} and {bias[k]:.1e} for class {k}: train with a smaller --lr"
        )
    unclipped = np.where(largest == 0, 1.0, largest / LARGEST)
    trials = [(unclipped * share).astype(np.float32).astype(np.float64) for share in SHARES]
    costs = [(curvature[:, None] * (scale * _nearest(weights / scale) - weights) ** 2).sum(axis=0) for scale in trials]
    best: Floats = np.choose(np.argmin(costs, axis=0), trials)
    return best


def _check_sums(levels: Floats) -> None:
    sums = 255 * np.maximum(levels.clip(min=0).sum(axis=0), -levels.clip(max=0).sum(axis=0))  # [K], of the worst images
    if sums.max() >= 2**31:
        raise ExportError(
            f"expected sums of pixels times integer weights below 2³¹, found up to {sums.max():.0f} "
            f"for class {sums.argmax()}: train on smaller images, or export float32 weights"
        )

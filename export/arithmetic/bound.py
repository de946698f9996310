"""A bound on the difference between an artefact's logits and the trained model's, for any image, from the weights.

docs/proof.md has the derivation. Rounding errors of float32 are bounded as in N. Higham, "Accuracy and Stability of
Numerical Algorithms", 2nd edition, sections 3.1 and 4.2: in any order of summation, n roundings change a term by a
factor of at most 1 + γ, γ = n·u / (1 − n·u), with u half the distance from 1 to the next number.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .decided import Bounded, Decide

WHITE = 255
FLOAT32_ROUNDING = 2.0**-24  # u
FLOAT64_ROUNDING = 2.0**-53
FLOAT32_LARGEST = float(np.finfo(np.float32).max)
# Numbers below 2^-126 may be flushed to 0, a weight or the scale of an int8 sum among them: 255 · 128 · 2^-126 a pixel.
UNDERFLOW = 2.0**-100
# Logits this far apart give probabilities in the same order, if each probability is within 2^-20 of itself.
SOFTMAX = 2.0**-18
DIFFERENCE = 3  # roundings of an exact difference: to float32, times a scale, and added to
BLOCK = 1 << 20  # inputs in float64 at a time
OF_PIXELS, OF_FEATURES = "pixels", "features"

Limit: TypeAlias = float | NDArray[np.float64]


class Box(NamedTuple):
    """The inputs that a bound is for, each between its lowest and its highest: float64 [D], or one number for all."""

    lowest: Limit
    highest: Limit

    def reach(self) -> NDArray[np.float64]:
        """Return the largest magnitude of each input."""
        result: NDArray[np.float64] = np.maximum(np.abs(self.lowest), np.abs(self.highest))
        return result


PIXELS = Box(0, WHITE)


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """What an artefact computes: logits = x·weights + bias, in float32.

    weights: [D, K], the exact values of the artefact's weights: float32 numbers, or scale · (q − 128) for int8.
    bias: [K], the exact values of its float32 bias.
    roundings: largest number of float32 roundings of a term of a logit: D + 1 for a sum of products in float32, in any
        order, with fused multiply-add or without; 3 for an exact integer sum, whose conversion to float32, scale and
        bias round.
    before: how many of these an input goes through before it is multiplied.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    roundings: int
    before: int = 0

    def rounding(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bound the rounding errors of the logits of inputs: [N, D] → [N, K]."""
        terms = np.count_nonzero(x, axis=1, keepdims=True)  # + 0 is exact
        roundings = np.minimum(self.roundings, terms + 1 + self.before)
        result: NDArray[np.float64] = _gamma(roundings) * (np.abs(x) @ np.abs(self.weights) + np.abs(self.bias))
        return result

    def largest_rounding(self, box: Box) -> NDArray[np.float64]:
        """Bound them for any inputs of the box: [K]."""
        return _gamma(self.roundings) * _reach(self.weights, self.bias, box)


@dataclass(frozen=True, kw_only=True)
class CentredArithmetic(Arithmetic):
    """What an artefact computes that subtracts a centre: logits = d + (x − centre)·rest + centred_bias.

    d = S − max S over the classes, with exact sums S = (x − centre)·(weights − rest). The same number is missing in all
    logits then, which no probability depends on.

    centre: [D].
    rest: [D, K], summed in float32; may be 0.
    centred_bias: [K], added to that in float32.
    """

    centre: NDArray[np.float64]
    rest: NDArray[np.float64]
    centred_bias: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        weights: NDArray[np.float64],
        rest: NDArray[np.float64],
        centre: NDArray[np.float64],
        centred_bias: NDArray[np.float32],
        roundings: int,
    ) -> "CentredArithmetic":
        """Make one with the bias that goes with pixels that are not centred."""
        bias = centred_bias.astype(np.float64)
        return cls(
            weights=weights,
            bias=bias - (centre[:, None] * weights).sum(axis=0),
            roundings=roundings,
            centre=centre,
            rest=rest,
            centred_bias=bias,
        )

    def rounding(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bound the rounding errors of the logits of images: [N, D] → [N, K]."""
        centred = x - self.centre
        sums = centred @ (self.weights - self.rest)
        behind = sums.max(axis=1, keepdims=True) - sums
        summed = np.abs(centred) @ np.abs(self.rest) + np.abs(self.centred_bias)
        result: NDArray[np.float64] = _gamma(self.roundings) * summed + _gamma(DIFFERENCE) * behind
        return result

    def largest_rounding(self, box: Box) -> NDArray[np.float64]:
        """Bound them for any inputs of the box: [K]."""
        reach = np.maximum(self.centre - box.lowest, box.highest - self.centre)
        sums = reach @ np.abs(self.weights - self.rest)
        summed = reach @ np.abs(self.rest) + np.abs(self.centred_bias)
        result: NDArray[np.float64] = _gamma(self.roundings) * summed + _gamma(DIFFERENCE) * (sums + sums.max())
        return result


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Bounds on the difference between an artefact and the trained model.

    logit_error: upper bound of the difference in a logit, for any image of pixels 0-255, or for any features of a box;
        None where there is no bound.
    images: number of images given.
    certain: share of these images whose label cannot differ, 0-1; 0 without images.
    given: "pixels"; or "features", where both compute from the same features, about which nothing is proved.
    decided: share of these images whose decision cannot differ, 0-1; None for a model without thresholds.
    """

    logit_error: float | None
    images: int
    certain: float
    given: str = OF_PIXELS
    decided: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as it is in the provenance, where what is left out is given the pixels."""
        found: dict[str, Any] = {"logit_error": self.logit_error, "images": self.images, "certain": self.certain}
        found |= {} if self.given == OF_PIXELS else {"given": self.given}
        return found if self.decided is None else found | {"decided": self.decided}


def prove(
    weights: NDArray[np.float64],
    bias: NDArray[np.float64],
    artefact: Arithmetic,
    inputs: NDArray[np.generic],
    box: Box = PIXELS,
    given: str = OF_PIXELS,
    decide: Decide | None = None,
) -> Proof:
    """Bound the difference between the artefact's logits and those of the trained model in exact arithmetic.

    weights, bias: [D, K] and [K], the trained model's for raw pixels, as `fold` computes them.
    artefact: what the artefact computes.
    inputs: of images, [N, ...], D numbers each.
    box: what `logit_error` is for.
    given: what the inputs are, for the proof.
    decide: what says of which images the decision cannot differ; None for a model without thresholds.
    """
    count = len(weights)
    reach = _reach(artefact.weights, artefact.bias, box)  # [K]
    both = reach + _reach(weights, bias, box)
    if artefact.roundings * FLOAT32_ROUNDING > 0.5 or not (both < FLOAT32_LARGEST / 2).all():
        return Proof(logit_error=None, images=len(inputs), certain=0.0, given=given, decided=decide and 0.0)
    rest = (count + 1) * UNDERFLOW + 4 * (count + 4) * FLOAT64_ROUNDING * both  # [K]; float64: of `fold` and of this

    change, shift = artefact.weights - weights, artefact.bias - bias
    rises, falls = change.clip(min=0), change.clip(max=0)
    corners = [_weighted(one, rises) + _weighted(other, falls) + shift for one, other in (box, box[::-1])]
    logit_errors = np.abs(corners).max(axis=0) + artefact.largest_rounding(box) + rest  # [K]

    certain = decided = 0
    step = max(1, BLOCK // count)
    for start in range(0, len(inputs), step):
        x = inputs[start : start + step].reshape(-1, count).astype(np.float64)  # [n, D]
        trained = x @ weights + bias  # [n, K]
        exported = x @ artefact.weights + artefact.bias
        rounded = artefact.rounding(x) + rest
        same = trained.argmax(axis=1) == exported.argmax(axis=1)
        same &= (_lead(trained, rest) > 0) & (_lead(exported, rounded) > SOFTMAX)
        certain += int(same.sum())
        if decide:
            decided += int(decide(same, Bounded(trained, rest), Bounded(exported, rounded)).sum())
    count = max(1, len(inputs))
    return Proof(
        logit_error=float(logit_errors.max()),
        images=len(inputs),
        certain=certain / count,
        given=given,
        decided=decided / count if decide else None,
    )


def _gamma(roundings: ArrayLike) -> NDArray[np.float64]:
    """Return γ, the largest relative change of a term by this many roundings."""
    product = np.multiply(roundings, FLOAT32_ROUNDING)
    result: NDArray[np.float64] = product / (1 - product)
    return result


def _reach(weights: NDArray[np.float64], bias: NDArray[np.float64], box: Box) -> NDArray[np.float64]:
    """Sum the magnitudes of a logit's terms, at most for any inputs of the box: [D, K], [K] → [K]."""
    return _weighted(box.reach(), np.abs(weights)) + np.abs(bias)


def _weighted(inputs: Limit, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum inputs times weights: [D], or one number for all; [D, K] → [K]."""
    result: NDArray[np.float64] = inputs @ weights if np.ndim(inputs) else inputs * weights.sum(axis=0)
    return result


def _lead(logits: NDArray[np.float64], errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the smallest margin of the largest logit over the others, within their errors: [N, K] → [N]."""
    lowest, highest = logits - errors, logits + errors
    best = logits.argmax(axis=1)[:, None]
    leader = np.take_along_axis(lowest, best, axis=1)[:, 0]
    np.put_along_axis(highest, best, -np.inf, axis=1)
    result: NDArray[np.float64] = leader - highest.max(axis=1)
    return result

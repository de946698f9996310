"""Folds the normalisation into the weights, so that an artefact takes raw pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.checkpoint import Checkpoint

from ..errors import ExportError
from .bound import FLOAT32_LARGEST, Arithmetic
from .centre import LARGEST_ERROR, Centred, centre_of, centred_on, rounding_error


def fold(checkpoint: Checkpoint) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights [D, K] and bias [K] for pixels 0-255, in float64.

    ((x − c) / s)·W + b  =  x·(W / s) + (b − (c / s)·W), with centre c and scale s of each pixel; then divided by the
    temperature, and the bias that was found after the fit added. Raises ExportError for a model on other features.
    """
    if checkpoint.features:
        raise ExportError(
            f"expected a model on pixels, found one on the features {checkpoint.features.name!r}: "
            "export it with a softmax-kit that has them"
        )
    centre, scale = checkpoint.scaling()
    temperature, bias = checkpoint.calibration()
    weights = np.ascontiguousarray(checkpoint.weights) / scale[:, None]  # [D, K], one order of summation
    with np.errstate(over="ignore", invalid="ignore"):  # the formats refuse what is not finite
        offset = (checkpoint.bias - (centre[:, None] * weights).sum(axis=0)) / temperature + bias
        return weights / temperature, offset


@dataclass(frozen=True, kw_only=True)
class Folded:
    """The numbers of a float32 artefact, for raw pixels.

    weights: float32 [D, K].
    bias: float32 [K].
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    centre: None = None

    def arithmetic(self) -> Arithmetic:
        """Return what such an artefact computes: a float32 sum of D products and the bias."""
        return Arithmetic(
            weights=self.weights.astype(np.float64),
            bias=self.bias.astype(np.float64),
            roundings=len(self.weights) + 1,
        )


def prepare(checkpoint: Checkpoint) -> Folded | Centred:
    """Fold, and round to float32; centred, where that would round too much in sums.

    Raises ExportError where float32 cannot hold the result.
    """
    weights, bias = fold(checkpoint)
    largest = max(float(np.abs(weights).max()), float(np.abs(bias).max()))
    if not largest <= FLOAT32_LARGEST:
        raise ExportError(
            f"expected weights and biases for raw pixels that float32 can hold, found {largest:.1e}: train with a "
            "smaller --lr"
        )
    if rounding_error(weights) > LARGEST_ERROR:
        return centred_on(centre_of(checkpoint), weights, bias)
    return Folded(weights=weights.astype(np.float32), bias=bias.astype(np.float32))

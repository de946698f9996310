"""Folds the normalisation into the weights, so that an artefact takes raw pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.checkpoint import Checkpoint

from ..errors import ExportError
from .bound import FLOAT32_LARGEST, Arithmetic


def fold(checkpoint: Checkpoint) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights [D, K] and bias [K] for pixels 0-255, in float64.

    ((x − mean) / std)·W + b  =  x·(W / std) + (b − (mean / std)·W), with mean and std laid out pixel by pixel.
    """
    pixels = checkpoint.image.height * checkpoint.image.width
    mean, std = (np.tile(values.astype(np.float64), pixels)[:, None] for values in (checkpoint.mean, checkpoint.std))
    weights = np.ascontiguousarray(checkpoint.weights) / std  # [D, K], one order of summation
    return weights, checkpoint.bias - (mean * weights).sum(axis=0)


@dataclass(frozen=True, kw_only=True)
class Folded:
    """The numbers of a float32 artefact, for raw pixels.

    weights: float32 [D, K].
    bias: float32 [K].
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def arithmetic(self) -> Arithmetic:
        """Return what such an artefact computes: a float32 sum of D products and the bias."""
        return Arithmetic(
            weights=self.weights.astype(np.float64),
            bias=self.bias.astype(np.float64),
            roundings=len(self.weights) + 1,
        )


def prepare(checkpoint: Checkpoint) -> Folded:
    """Fold, and round to float32. Raises ExportError where float32 cannot hold the result."""
    weights, bias = fold(checkpoint)
    largest = max(float(np.abs(weights).max()), float(np.abs(bias).max()))
    if largest > FLOAT32_LARGEST:
        raise ExportError(
            f"expected weights and biases for raw pixels that float32 can hold, found {largest:.1e}: train with a "
            "smaller --lr"
        )
    return Folded(weights=weights.astype(np.float32), bias=bias.astype(np.float32))

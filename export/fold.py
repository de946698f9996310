"""Folding the normalisation into the weights, so that an artefact takes raw pixels."""

import numpy as np
from numpy.typing import NDArray

from trainer.checkpoint import Checkpoint


def fold(checkpoint: Checkpoint) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights [D, K] and bias [K] for pixels 0-255, in float64.

    ((x − mean) / std)·W + b  =  x·(W / std) + (b − (mean / std)·W), with mean and std laid out pixel by pixel.
    """
    pixels = checkpoint.image.height * checkpoint.image.width
    mean, std = (np.tile(values.astype(np.float64), pixels)[:, None] for values in (checkpoint.mean, checkpoint.std))
    weights = checkpoint.weights / std  # [D, K]
    return weights, checkpoint.bias - (mean * weights).sum(axis=0)

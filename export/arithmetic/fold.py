"""Folds the normalisation into the weights, so that an artefact takes raw pixels."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trainer.checkpoint import Checkpoint
from trainer.data.features import Features

from ..errors import ExportError
from .bound import FLOAT32_LARGEST, Arithmetic
from .centre import BLOCK, LARGEST_ERROR, Centred, centre_of, centred_on, rounding_error
from .head import Head, fold_head


def fold(checkpoint: Checkpoint) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights [D, K] and bias [K] for pixels 0-255, in float64.

    ((x − c) / s)·W + b  =  x·(W / s) + (b − (c / s)·W), with centre c and scale s of each pixel; then divided by the
    temperature, and the bias that was found after the fit added.
    """
    centre, scale = checkpoint.scaling()
    temperature, bias = checkpoint.calibration()
    weights = np.ascontiguousarray(checkpoint.weights) / scale[:, None]  # [D, K], one order of summation
    with np.errstate(over="ignore", invalid="ignore"):  # the formats refuse what is not finite
        offset = (checkpoint.bias - (centre[:, None] * weights).sum(axis=0)) / temperature + bias
        return weights / temperature, offset


def check_pixels(checkpoint: Checkpoint, target: str) -> None:
    """Raise ExportError for a model on features, in a format that has no graph for them.

    target: what the format is for, such as "browsers".
    """
    if checkpoint.features:
        raise ExportError(
            f"expected softmax regression on pixels, found a model on the features {checkpoint.features.name!r}: train "
            f"on pixels for {target}, or export to onnx"
        )


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


Numbers: TypeAlias = Folded | Centred | Head  # of a float32 artefact


def prepare(checkpoint: Checkpoint, block: int = BLOCK) -> Numbers:
    """Fold, and round to float32; centred on features, and where sums of pixels would round too much.

    block: as of `rounding_error`.
    Raises ExportError where float32 cannot hold the result.
    """
    if checkpoint.features:
        return prepare_head(checkpoint, checkpoint.features)
    weights, bias = fold(checkpoint)
    _check(weights, bias)
    if rounding_error(weights, block) > LARGEST_ERROR:
        return centred_on(centre_of(checkpoint), weights, bias)
    return Folded(weights=weights.astype(np.float32), bias=bias.astype(np.float32))


def prepare_head(checkpoint: Checkpoint, features: Features) -> Head:
    """Fold the scale of the features, and round to float32. Raises ExportError where float32 cannot hold the result.

    features: the graph, or what takes its place.
    """
    weights, bias = fold_head(checkpoint)
    _check(weights, bias)
    return Head(
        features=features,
        centre=checkpoint.scaling()[0].astype(np.float32),
        weights=weights.astype(np.float32),
        bias=bias.astype(np.float32),
    )


def _check(weights: NDArray[np.float64], bias: NDArray[np.float64]) -> None:
    largest = max(float(np.abs(weights).max()), float(np.abs(bias).max()))
    if not largest <= FLOAT32_LARGEST:
        raise ExportError(
            f"expected weights and biases for raw inputs that float32 can hold, found {largest:.1e}: train with a "
            "smaller --lr"
        )

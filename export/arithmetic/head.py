"""The head: the softmax regression on the features of a frozen graph. What is proved of it is given the features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.checkpoint import Checkpoint
from trainer.data.features import Features

from .bound import OF_FEATURES, Arithmetic, Box, Proof, prove
from .decided import Decide, decider

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST = 2.0**24  # of features and weights: above it, `bound.UNDERFLOW` does not cover what is flushed to 0
BEYOND = 2  # times the distance from the centre that was seen: what the bound holds for


@dataclass(frozen=True, kw_only=True)
class Head:
    """The numbers of a float32 artefact on features: its logits are (x − centre)·weights + bias.

    features: the graph that gives x.
    centre: float32 [D].
    weights: float32 [D, K].
    bias: float32 [K].
    """

    features: Features
    centre: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def arithmetic(self) -> Arithmetic:
        """Return what it computes of centred features: subtracting rounds, then the sum of D products and the bias."""
        return Arithmetic(
            weights=self.weights.astype(np.float64),
            bias=self.bias.astype(np.float64),
            roundings=len(self.weights) + 2,
            before=1,
        )

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Compute the logits in float64: float32 [N, D] → [N, K]."""
        centred = features.astype(np.float64) - self.centre
        result: NDArray[np.float64] = centred @ self.weights.astype(np.float64) + self.bias
        return result

    def prove(self, checkpoint: Checkpoint, features: NDArray[np.float32]) -> Proof:
        """Bound the difference between its logits and those of the trained model, given the same features.

        features: float32 [N, D], N ≥ 1, of real images. The bound is for features twice as far from the centre.
        """
        decide = decider_of(checkpoint)
        centred = features.astype(np.float64) - self.centre
        reach = BEYOND * np.abs(centred).max(axis=0)  # [D]
        if not max(reach.max() + np.abs(self.centre).max(), np.abs(self.weights).max()) <= LARGEST:
            return Proof(logit_error=None, images=len(features), certain=0.0, given=OF_FEATURES, decided=decide and 0.0)
        box = Box(-reach, reach)
        return prove(*fold_head(checkpoint), self.arithmetic(), centred, box, OF_FEATURES, decide)


def decider_of(checkpoint: Checkpoint) -> Decide | None:
    """Return what says of which images a checkpoint's decision cannot differ; None where it has no thresholds."""
    return decider(checkpoint.decision.thresholds, checkpoint.labels) if checkpoint.decision else None


def fold_head(checkpoint: Checkpoint) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights [D, K] and bias [K] for features less their centre, in float64.

    ((x − c) / s)·W + b  =  (x − c)·(W / s) + b; then divided by the temperature, and the bias that was found after the
    fit added.
    """
    temperature, bias = checkpoint.calibration()
    weights = np.ascontiguousarray(checkpoint.weights) / checkpoint.scaling()[1][:, None]  # [D, K]
    return weights / temperature, checkpoint.bias.astype(np.float64) / temperature + bias

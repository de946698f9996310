"""The figures of an epoch. Imports no torch."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """Figures of one epoch: loss in nats, accuracy 0-1, wall time in seconds.

    Training figures are computed while the weights change, with class weights if there are any; the others without.
    Those of validation are None without a validation split.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    test_loss: float
    test_accuracy: float
    seconds: float

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Epoch":
        """Read what `asdict` gave. Raises TypeError, ValueError or OverflowError."""
        epoch = cls(**row)
        always = [value for name, value in asdict(epoch).items() if not name.startswith("val_")]
        if None in always or not all(math.isfinite(value) for value in row.values() if value is not None):
            raise ValueError(f"an epoch of {row}")
        return epoch

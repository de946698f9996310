"""The settings of a fit. Imports no torch."""

import math
from dataclasses import dataclass

from .errors import ConfigError
from .solvers.schedules import SCHEDULES

EPOCHS = {"sgd": 10, "lbfgs": 2000}
CLASS_WEIGHTS = ("none", "balanced")
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Settings of a fit. Raises ConfigError.

    solver: "sgd", minibatch gradient descent, or "lbfgs", which converges to the optimum.
    epochs: passes over the training images, at least 1; by default 10, for lbfgs at most 2000 iterations.
    batch_size: images in a minibatch, at least 1; sgd only.
    lr: initial learning rate, above 0; sgd only.
    schedule: learning rate schedule, "cosine" (to 0 along half a cosine) or "constant"; sgd only.
    momentum: 0 to below 1; sgd only.
    weight_decay: λ of the penalty λ/2 · ‖W‖², at least 0; none for the bias.
    class_weights: "balanced" weights each image by N / (K · images of its class), "none" by 1.
    val_fraction: share of the training images held out for early stopping, 0 to below 1.
    patience: epochs without a lower validation loss before training stops, at least 1.
    seed: random seed of initial weights, order of images, and splits.
    shuffle_window: bytes of images shuffled together, at least 1; by default as the memory limit allows, up to 256 MiB.
    device: "cpu", "cuda", "mps", or "auto": the first of CUDA, MPS and CPU that is there.
    """

    solver: str = "sgd"
    epochs: int | None = None
    batch_size: int = 256
    lr: float = 0.03
    schedule: str = "cosine"
    momentum: float = 0.9
    weight_decay: float = 1e-3
    class_weights: str = "none"
    val_fraction: float = 0.0
    patience: int = 3
    seed: int = 0
    shuffle_window: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        rules: list[tuple[str, bool, str]] = [
            ("solver", self.solver in EPOCHS, f"one of {', '.join(EPOCHS)}"),
            ("epochs", self.epochs is None or self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("lr", 0 < self.lr < math.inf, "above 0"),
            ("schedule", self.schedule in SCHEDULES, f"one of {', '.join(SCHEDULES)}"),
            ("momentum", 0 <= self.momentum < 1, "0 to below 1"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "at least 0"),
            ("class_weights", self.class_weights in CLASS_WEIGHTS, f"one of {', '.join(CLASS_WEIGHTS)}"),
            ("val_fraction", 0 <= self.val_fraction < 1, "0 to below 1"),
            ("patience", self.patience >= 1, "at least 1"),
            ("seed", 0 <= self.seed < 2**63, "0 to 2⁶³ - 1"),
            ("shuffle_window", self.shuffle_window is None or self.shuffle_window >= 1, "at least 1"),
            ("device", self.device in DEVICES, f"one of {', '.join(DEVICES)}"),
        ]
        for name, holds, expected in rules:
            if not holds:
                raise ConfigError(f"{name}: expected {expected}, found {getattr(self, name)!r}")

    @property
    def last_epoch(self) -> int:
        """How many epochs there are at most."""
        return EPOCHS[self.solver] if self.epochs is None else self.epochs

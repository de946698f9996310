"""The settings of a fit."""

import math
from dataclasses import dataclass

from .errors import ConfigError

EPOCHS = {"sgd": 10, "lbfgs": 2000}
SCHEDULES = ("cosine", "constant")
CLASS_WEIGHTS = ("none", "balanced")
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Settings of a fit. Raises ConfigError.

    solver: "sgd", minibatch gradient descent, or "lbfgs", which goes to the optimum. epochs: passes over the training
    images, at least 1; by default 10, with lbfgs at most 2000 iterations. batch_size: images a step, at least 1. lr:
    step size at the start, above 0. schedule: "cosine" lets it fall to 0 along half a cosine, "constant" keeps it.
    momentum: 0 to below 1. These four are for sgd alone. weight_decay: λ of the penalty λ/2 · ‖W‖², at least 0.
    class_weights: "balanced" weights each image by N / (K · images of its class), "none" weights all the same.
    val_fraction: share of the training images, 0 to below 1, held out to stop early and keep the best epoch.
    patience: epochs without a lower validation loss after which to stop, at least 1. seed: of the weights' start, the
    order of the images and every split. shuffle_window: bytes of images that are shuffled among each other, at least 1;
    by default what the memory limit allows, at most 256 MiB; a fit records what it took, or the images' bytes if all.
    device: "auto" takes CUDA, then MPS, then the CPU.
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

"""The settings of a fit, given and chosen. Imports no torch."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from .decisions.demands import Demands
from .errors import ConfigError
from .solvers.schedules import SCHEDULES

EPOCHS = {"auto": 100, "sgd": 10, "lbfgs": 2000}
WEIGHT_DECAY = 1e-3
CLASS_WEIGHTS = ("none", "balanced")
DEVICES = ("auto", "cpu", "cuda", "mps")
LARGEST = 3.4e38  # that float32 holds


class SgdSettings(NamedTuple):
    """Those of `FitConfig` that make minibatch gradient descent."""

    batch_size: int = 256
    lr: float = 0.03
    schedule: str = "cosine"
    momentum: float = 0.9
    weight_decay: float = WEIGHT_DECAY


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Settings of a fit. Raises ConfigError.

    solver: "auto", which finds weight decay and needs no other setting; "sgd", minibatch gradient descent; or "lbfgs",
        which converges to the optimum. A setting of sgd alone selects it in place of "auto".
    epochs: passes over the training images, at least 1; by default 10, for auto at most 100 iterations, for lbfgs 2000.
    batch_size: images in a minibatch, at least 1; sgd only, by default 256.
    lr: initial learning rate, above 0; sgd only, by default 0.03.
    schedule: learning rate schedule, "cosine" (to 0 along half a cosine) or "constant"; sgd only, by default "cosine".
    momentum: 0 to below 1; sgd only, by default 0.9.
    weight_decay: λ of the penalty λ/2 · ‖W‖², at least 0, none for the bias; by default 1e-3, for auto what it finds.
    class_weights: "balanced" weights each image by N / (K · images of its class), "none" by 1.
    val_fraction: share of the training images held out for early stopping, 0 to below 1.
    patience: epochs without a lower validation loss before training stops, at least 1.
    seed: random seed of initial weights, order of images, and splits.
    shuffle_window: bytes of images shuffled together, at least 1; by default as the memory limit allows, up to 256 MiB.
    device: "cpu", "cuda", "mps", or "auto": the first of CUDA, MPS and CPU that is there.
    calibrate: whether to hold out training images, on which probabilities are calibrated and prediction sets found; by
        default from 1,000 images on, and for what follows.
    familiarity: whether to find a score for images unlike the training images.
    max_error: the largest share of the accepted answers that may be wrong, above 0 and below 1; None for no threshold.
    max_miss: by label, the largest share of its images that may be answered otherwise, likewise.
    """

    solver: str = "auto"
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    schedule: str | None = None
    momentum: float | None = None
    weight_decay: float | None = None
    class_weights: str = "none"
    val_fraction: float = 0.0
    patience: int = 3
    seed: int = 0
    shuffle_window: int | None = None
    device: str = "auto"
    calibrate: bool | None = None
    familiarity: bool = False
    max_error: float | None = None
    max_miss: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        settings, defaults = vars(self), SgdSettings()._asdict()
        if self.solver == "auto" and any(settings[name] is not None for name in defaults if name != "weight_decay"):
            settings["solver"] = "sgd"
        needed = {"sgd": defaults, "lbfgs": {"weight_decay": WEIGHT_DECAY}}.get(self.solver, {})
        settings.update({name: default for name, default in needed.items() if settings[name] is None})
        rules: list[tuple[str, bool, str]] = [
            ("solver", self.solver in EPOCHS, f"one of {', '.join(EPOCHS)}"),
            ("epochs", self.epochs is None or self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size is None or self.batch_size >= 1, "at least 1"),
            ("lr", self.lr is None or 0 < self.lr < math.inf, "above 0"),
            ("lr", self.lr is None or self.lr <= LARGEST, f"at most {LARGEST:g}"),
            ("schedule", self.schedule in (None, *SCHEDULES), f"one of {', '.join(SCHEDULES)}"),
            ("momentum", self.momentum is None or 0 <= self.momentum < 1, "0 to below 1"),
            ("weight_decay", self.weight_decay is None or 0 <= self.weight_decay < math.inf, "at least 0"),
            ("weight_decay", (self.weight_decay or 0) <= LARGEST, f"at most {LARGEST:g}"),
            ("class_weights", self.class_weights in CLASS_WEIGHTS, f"one of {', '.join(CLASS_WEIGHTS)}"),
            ("val_fraction", 0 <= self.val_fraction < 1, "0 to below 1"),
            ("patience", self.patience >= 1, "at least 1"),
            ("seed", 0 <= self.seed < 2**63, "0 to 2⁶³ - 1"),
            ("shuffle_window", self.shuffle_window is None or self.shuffle_window >= 1, "at least 1"),
            ("device", self.device in DEVICES, f"one of {', '.join(DEVICES)}"),
            ("max_error", self.max_error is None or 0 < self.max_error < 1, "above 0 and below 1"),
            ("max_miss", all(0 < rate < 1 for rate in (self.max_miss or {}).values()), "above 0 and below 1"),
            ("calibrate", self.calibrate is not False or not self._decides, "True for thresholds and familiarity"),
        ]
        for name, holds, expected in rules:
            if not holds:
                raise ConfigError(f"{name}: expected {expected}, found {getattr(self, name)!r}")

    @property
    def demands(self) -> Demands:
        """What the accepted answers have to keep to."""
        return Demands(self.max_error, self.max_miss or {})

    @property
    def _decides(self) -> bool:
        return self.demands.any or self.familiarity

    @property
    def sgd(self) -> SgdSettings:
        """The settings of minibatch gradient descent, whichever the solver is."""
        given = {name: getattr(self, name) for name in SgdSettings._fields}
        return SgdSettings(**{name: value for name, value in given.items() if value is not None})

    @property
    def last_epoch(self) -> int:
        """How many epochs there are at most."""
        return EPOCHS[self.solver] if self.epochs is None else self.epochs


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen, and on what grounds.

    weight_decay: λ for all training images, in the coordinates of the scaled features.
    epochs: at most.
    batch_size, lr: of minibatch gradient descent; None for L-BFGS.
    images: on how many it was found, 0 where it was given; λ is inversely proportional to the number of images.
    folds: parts of these that were held out in turn; 1 for a fifth that was held out once.
    losses: pairs of λ for these and of the mean loss on held-out images, in nats.
    """

    weight_decay: float
    epochs: int = 1
    batch_size: int | None = None
    lr: float | None = None
    images: int = 0
    folds: int = 0
    losses: tuple[tuple[float, float], ...] = ()

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "Choice":
        """Read what `to_json` gave. Raises TypeError, ValueError or KeyError."""
        choice = cls(**{**found, "losses": tuple((float(decay), float(loss)) for decay, loss in found["losses"])})
        rates, counts = (choice.weight_decay, choice.lr or 0.0), (choice.epochs, choice.images, choice.folds)
        if not all(0 <= rate < math.inf for rate in rates) or not all(type(count) is int for count in counts):
            raise ValueError(f"a choice of {found}")
        return choice

    def to_json(self) -> dict[str, Any]:
        """Write it as `of` reads it."""
        return asdict(self) | {"losses": [list(pair) for pair in self.losses]}

    def describe(self) -> str:
        """Say it in a line."""
        parts = f"{self.folds} folds" if self.folds > 1 else "a fifth"
        grounds = f", by the loss on held-out images ({parts} of {self.images:,} training images)" * bool(self.images)
        how = "L-BFGS" if self.lr is None else f"SGD with learning rate {self.lr:.3g}, batch size {self.batch_size}"
        return f"weight decay {self.weight_decay:.3g}{grounds}; {how}, at most {self.epochs} epochs"

"""Which training images are fitted to, which are for early stopping, and which are held out for decisions."""

import math
from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from .config import FitConfig
from .data.dataset import Dataset, Split, hold_out
from .decisions.deciding import CALIBRATING
from .errors import ConfigError
from .features.patches import SMALLEST
from .solvers.choice import by_class

FROM = 1000  # training images, from which on some are held out by default
SHARE, MOST_SHARE = 0.1, 0.3
MOST, MOST_VALUES = 5000, 2**21  # of images held out by default, and of their logits
FEWEST = 20
FOR_FAMILIARITY, FOR_A_HUNDREDTH = 150, 99  # images, and the fewest that show a false alarm rate of 1 %
LEFT = 2  # images of each class at least that are fitted to


class Parts(NamedTuple):
    """The training images. validation: those of the data set, or some of them. held_out: neither of the two."""

    train: Split
    validation: Split | None
    held_out: Split | None


def settled(config: FitConfig, data: Dataset) -> FitConfig:
    """Say whether to hold out images for decisions, where the settings do not. Raises ConfigError."""
    config.demands.check(data.labels)
    if config.familiarity:
        _check_familiarity(data, config)
    if config.calibrate is not None:
        return config
    asked = config.demands.any or config.familiarity
    return replace(config, calibrate=asked or len(data.train) >= FROM)


def _check_familiarity(data: Dataset, config: FitConfig) -> None:
    """Refuse familiarity before the fit where it cannot be found. Raises ConfigError."""
    height, width = data.train.images.shape[1:3]
    if min(height, width) < SMALLEST:
        raise ConfigError(
            f"familiarity: expected images of at least {SMALLEST} × {SMALLEST} pixels, found {height} × {width}: leave "
            "out --familiarity, or raise --image-size"
        )
    if (held := held_out_count(data, config)) < FOR_A_HUNDREDTH:
        raise ConfigError(
            f"familiarity: expected at least {FOR_A_HUNDREDTH} training images to hold out, found {held}, three tenths "
            "of all: leave out --familiarity, or train on more images"
        )


def parts_of(data: Dataset, config: FitConfig) -> Parts:
    """Divide the training images, the same way for the same settings. Raises ConfigError and DataError.

    config: as `settled`.
    """
    train, held_out = data.train, None
    if config.calibrate:
        rows = _held_out_rows(train.targets.cpu(), held_out_count(data, config), config.seed)
        kept = torch.ones(len(train), dtype=torch.bool)
        kept[rows] = False
        held_out = train.subset(rows).unmirrored if len(rows) > 1 else None
        train = train.subset(kept.nonzero()[:, 0]) if held_out else train
    if not config.val_fraction:
        return Parts(train, data.val, held_out)
    if data.val:
        raise ConfigError(
            "val_fraction: expected 0 for data with validation images of their own, found "
            f"{config.val_fraction:g}: leave it out"
        )
    train, validation = hold_out(train, config.val_fraction, data.labels, seed=config.seed, name=data.name)
    return Parts(train, validation.unmirrored, held_out)


def held_out_count(data: Dataset, config: FitConfig) -> int:
    """How many images to hold out: a tenth, and more where what is demanded takes more, up to three tenths."""
    targets, images = data.train.targets, len(data.train)
    counts = Counter(targets.tolist())
    shares = {label: counts[place] / images for place, label in enumerate(data.labels)}
    measuring = config.demands.images(shares)
    needed = max(FEWEST, math.ceil(measuring * CALIBRATING / (CALIBRATING - 1)), FOR_FAMILIARITY * config.familiarity)
    usual = min(math.ceil(SHARE * images), MOST, MOST_VALUES // len(data.labels))
    return max(usual, min(needed, int(MOST_SHARE * images)))


def _held_out_rows(targets: Tensor, count: int, seed: int) -> Tensor:
    """Choose rows at random, of all classes alike, that leave LEFT of each class: sorted int64 [n], n ≤ count."""
    order = by_class(targets, seed + 1)  # seed is that of the folds
    chosen = order[torch.arange(count) * len(targets) // count]
    left, found = Counter(targets.tolist()), []
    for row, target in zip(chosen.tolist(), targets[chosen].tolist(), strict=True):
        if left[target] > LEFT:
            left[target] -= 1
            found.append(row)
    return torch.tensor(sorted(found), dtype=torch.int64)

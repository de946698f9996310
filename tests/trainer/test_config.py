"""Settings of a fit."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from trainer import ConfigError, FitConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs: expected at least 1, found 0"),
        ({"batch_size": 0}, "batch_size: expected at least 1, found 0"),
        ({"lr": 0.0}, "lr: expected above 0, found 0.0"),
        ({"lr": float("nan")}, "lr: expected above 0, found nan"),
        ({"lr": float("inf")}, "lr: expected above 0, found inf"),
        ({"momentum": 1.0}, "momentum: expected 0 to below 1, found 1.0"),
        ({"weight_decay": -0.1}, "weight_decay: expected at least 0, found -0.1"),
        ({"lr": 1e39}, "lr: expected at most 3.4e+38, found 1e+39"),
        ({"weight_decay": 1e39}, "weight_decay: expected at most 3.4e+38, found 1e+39"),
        ({"seed": -1}, "seed: expected 0 to 2⁶³ - 1, found -1"),
        ({"solver": "newton"}, "solver: expected one of auto, sgd, lbfgs, found 'newton'"),
        ({"schedule": "step"}, "schedule: expected one of cosine, constant, found 'step'"),
        ({"class_weights": "odd"}, "class_weights: expected one of none, balanced, found 'odd'"),
        ({"val_fraction": 1.0}, "val_fraction: expected 0 to below 1, found 1.0"),
        ({"patience": 0}, "patience: expected at least 1, found 0"),
        ({"device": "tpu"}, "device: expected one of auto, cpu, cuda, mps, found 'tpu'"),
    ],
)
def test_settings_out_of_range(settings: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        FitConfig(**settings)

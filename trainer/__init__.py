"""Train softmax regression on images.

```python
from trainer import FitConfig, fit, load_data, save_checkpoint

save_checkpoint(fit(load_data("digits"), FitConfig(epochs=20)).checkpoint, "model.safetensors")
```

Names are loaded when they are first used, so that reading a checkpoint needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from runtime.errors import needs_extra

if TYPE_CHECKING:
    from .auditing.audit import audit
    from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
    from .config import FitConfig
    from .data.dataset import Dataset, Split
    from .data.features import Features
    from .data.load import load_data
    from .decisions.recalibrating import calibrate
    from .errors import CheckpointError, ConfigError, DataError, TrainerError
    from .features.kinds import FeatureSettings
    from .features.load import load_features
    from .fitted import Fit
    from .fitting import fit
    from .report.comparing import compare
    from .softmax_regression import Model, evaluate

_MODULES = {
    "auditing.audit": ("audit",),
    "checkpoint": ("Checkpoint", "load_checkpoint", "save_checkpoint"),
    "config": ("FitConfig",),
    "decisions.recalibrating": ("calibrate",),
    "data.dataset": ("Dataset", "Split"),
    "data.features": ("Features",),
    "data.load": ("load_data",),
    "errors": ("CheckpointError", "ConfigError", "DataError", "TrainerError"),
    "features.kinds": ("FeatureSettings",),
    "features.load": ("load_features",),
    "fitted": ("Fit",),
    "fitting": ("fit",),
    "report.comparing": ("compare",),
    "softmax_regression": ("Model", "evaluate"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Checkpoint", "CheckpointError", "ConfigError", "DataError", "Dataset", "FeatureSettings", "Features", "Fit",
    "FitConfig", "Model", "Split", "TrainerError", "audit", "calibrate", "compare", "evaluate", "fit",
    "load_checkpoint", "load_data", "load_features", "save_checkpoint",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with needs_extra("train", f"trainer.{name}"):
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)

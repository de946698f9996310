"""Turn a checkpoint into artefacts: each file is compared with the trained model before it gets its name.

```python
from export import export
from trainer import load_checkpoint

report = export(load_checkpoint("runs/digits/model.safetensors"), "onnx", "model.onnx")
report.parity.max_difference, report.proof.certain, report.digest
```

`to_onnx` and `to_torchscript` do the same with any classifier that is a `torch.nn.Module`. The package imports
`runtime` and `trainer`; neither of them imports it.
"""

from typing import Any

from runtime.errors import needs_extra

from .arithmetic.bound import Proof
from .errors import ExportError, ParityError
from .exporting import ExportReport, export
from .gate.parity import Parity
from .gate.verification import LabelledImages, Verification

__all__ = [
    "ExportError", "ExportReport", "LabelledImages", "Parity", "ParityError", "Proof", "Verification", "export",
    "to_onnx", "to_torchscript",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import the functions that need torch on first use."""
    if name in ("to_onnx", "to_torchscript"):
        with needs_extra("train", "exporting a module of torch"):
            from . import modules

        return getattr(modules, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Turn a checkpoint into artefacts, each compared with the trained model before it exists.

```python
from export import export
from trainer import load_checkpoint

report = export(load_checkpoint("runs/digits/model.safetensors"), "onnx", "model.onnx")
report.parity.max_difference, report.digest
```
"""

from .errors import ExportError, ParityError
from .exporting import ExportReport, export
from .parity import Parity

__all__ = ["ExportError", "ExportReport", "Parity", "ParityError", "export"]

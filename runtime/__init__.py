"""Run an exported classifier with numpy and onnxruntime alone, or numpy where that has no wheel.

```python
import runtime

prediction = runtime.classify("shirt.png", model="model.onnx")
prediction.label, prediction.probability, prediction.index
```
"""

from .classifier import Classifier
from .errors import ArtefactError, InputError, KitError, MissingExtraError, SelfTestError
from .image import ImageContract
from .loading import load
from .opened import classify
from .prediction import Prediction
from .skew.first_images import SkewWarning

__all__ = [
    "ArtefactError", "Classifier", "ImageContract", "InputError", "KitError", "MissingExtraError", "Prediction",
    "SelfTestError", "SkewWarning", "classify", "load",
]  # fmt: skip

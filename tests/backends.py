"""The backend that the tests run on: onnxruntime, or with KIT_BACKEND=numpy that one."""

import os
from collections.abc import Sequence
from dataclasses import replace

import pytest

from runtime import Prediction

NUMPY = os.environ.get("KIT_BACKEND") == "numpy"
of_onnxruntime = pytest.mark.skipif(NUMPY, reason="of onnxruntime alone")
UNREAD = "expected an ONNX file that " + ("numpy can run, found one that it refuses" if NUMPY else "onnxruntime ")


def alike(found: Sequence[Prediction], expected: Sequence[Prediction]) -> bool:
    """Whether predictions are the same; with numpy, which sums one image and many in another order, to 6 digits."""
    return list(map(_rounded, found)) == list(map(_rounded, expected)) if NUMPY else found == expected


def _rounded(one: Prediction) -> Prediction:
    top = [(label, round(probability, 6)) for label, probability in one.top]
    return replace(one, probability=round(one.probability, 6), top=top)

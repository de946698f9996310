"""onnxruntime's own format, for its reduced builds, written by onnxruntime itself from the float32 ONNX file."""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.artefact import Metadata
from runtime.seal import seal
from runtime.session import onnxruntime

from ..arithmetic.fold import Numbers, prepare
from . import onnx
from .compatibility import Target
from .onnx import open_artefact
from .ort_order import in_order

__all__ = ["open_artefact", "prepare", "write"]


def write(numbers: Numbers, metadata: Metadata, target: Target, familiarity: NDArray[np.uint8] | None = None) -> bytes:
    """Write the model in onnxruntime's format; equal arguments and versions of onnxruntime give equal bytes."""
    model = onnx.unsealed(numbers, metadata, target, familiarity)
    ort = onnxruntime()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.ort")
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC  # none for this processor alone
        options.optimized_model_filepath = str(path)
        options.add_session_config_entry("session.save_model_format", "ORT")
        ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return seal(in_order(path.read_bytes()))

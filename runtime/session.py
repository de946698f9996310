"""Opening onnxruntime: the one place that imports it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .errors import ArtefactError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FATAL_ONLY = 4


def onnxruntime() -> Any:
    """Import onnxruntime with its telemetry off, which has to be said before the import."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def open_session(model: bytes) -> InferenceSession:
    """Open an ONNX model on the CPU, with one thread that sleeps between calls and no log lines.

    Raises ArtefactError where onnxruntime cannot load it.
    """
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = FATAL_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors share no base class
        reason = " ".join(str(error).split())
        raise ArtefactError(
            f"expected an ONNX file that onnxruntime {ort.__version__} loads, found one that it refuses ({reason}): "
            "export it again, or for an older runtime"
        ) from None

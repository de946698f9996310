"""Opening onnxruntime: the one place that imports it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import ArtefactError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FATAL_ONLY = 4
CPU = "CPUExecutionProvider"


class Settings(NamedTuple):
    """How onnxruntime runs a model.

    threads: that one call uses, at least 1. spinning: whether these threads wait for work by turning in circles, which
    is faster and takes a whole core each. providers: onnxruntime's execution providers, in the order of preference.
    """

    threads: int = 1
    spinning: bool = False
    providers: tuple[str, ...] = (CPU,)


def onnxruntime() -> Any:
    """Import onnxruntime with its telemetry off, which has to be said before the import."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def open_session(model: bytes, settings: Settings | None = None) -> InferenceSession:
    """Open an ONNX model; by default on the CPU, with one thread that sleeps between calls. Prints no log lines.

    Raises ArtefactError where onnxruntime cannot load it, or not on these providers: it never falls back to others.
    """
    settings = settings or Settings()
    ort = onnxruntime()
    _check(settings, ort.get_available_providers())
    options = ort.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = FATAL_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(settings.spinning)))
    try:
        session = ort.InferenceSession(model, options, providers=list(settings.providers))
    except Exception as error:  # onnxruntime's own errors share no base class
        reason = " ".join(str(error).split())
        raise ArtefactError(
            f"expected an ONNX file that onnxruntime {ort.__version__} loads, found one that it refuses ({reason}): "
            "export it again, or for an older runtime"
        ) from None
    session.disable_fallback()
    _check(settings, session.get_providers())
    return session


def _check(settings: Settings, there: list[str]) -> None:
    if type(settings.threads) is not int or settings.threads < 1:
        raise ArtefactError(f"expected at least 1 thread, found {settings.threads!r}: leave it out for 1")
    absent = [name for name in settings.providers if name not in there]
    if absent or not settings.providers:
        raise ArtefactError(
            f"expected providers out of {', '.join(there)}, found {', '.join(absent) or 'none'}: install an "
            "onnxruntime that has them, or leave providers out"
        )

"""Opening onnxruntime: the one place that imports it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import ArtefactError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FATAL_ONLY = 4
CPU = "CPUExecutionProvider"
MAX_THREADS = 1024


class Settings(NamedTuple):
    """How onnxruntime runs a model.

    threads: that one call uses, 1 to 1,024. spinning: whether these threads wait for work by turning in circles, which
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
    if b"location" in model:  # an entry that a tensor with its data elsewhere must have
        _check_whole(model)
    ort = onnxruntime()
    _check(settings, ort.get_available_providers())
    options = ort.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = FATAL_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(bool(settings.spinning))))
    try:
        session = ort.InferenceSession(model, options, providers=list(settings.providers), enable_fallback=0)
    except Exception as error:  # onnxruntime's own errors share no base class
        reason = " ".join(str(error).split())
        raise ArtefactError(
            f"expected an ONNX file that onnxruntime {ort.__version__} loads, found one that it refuses ({reason}): "
            "export it again, or for an older runtime"
        ) from None
    session.disable_fallback()  # of older ones, which do not know the argument
    try:
        about = session.get_modelmeta()
        _ = about.custom_metadata_map, about.producer_name, [node.name for node in session.get_inputs()]
        _ = [str(node) for node in (*session.get_inputs(), *session.get_outputs())]
    except UnicodeDecodeError:  # which onnxruntime itself does not look at
        raise ArtefactError("expected names and metadata in UTF-8, found other bytes: export it again") from None
    _check(settings, session.get_providers())
    return session


def _check_whole(model: bytes) -> None:
    from .external_data import has_external_data

    if has_external_data(model):
        raise ArtefactError("expected all weights in the file, found some that it takes from others: export it again")


def _check(settings: Settings, there: list[str]) -> None:
    if type(settings.threads) is not int or settings.threads < 1:
        raise ArtefactError(f"expected at least 1 thread, found {settings.threads!r}: leave it out for 1")
    if settings.threads > MAX_THREADS:
        raise ArtefactError(f"expected at most {MAX_THREADS:,} threads, found {settings.threads}: leave it out for 1")
    absent = [name for name in settings.providers if name not in there]
    if absent or not settings.providers:
        raise ArtefactError(
            f"expected providers out of {', '.join(there)}, found {', '.join(map(str, absent)) or 'none'}: install an "
            "onnxruntime that has them, or leave providers out"
        )

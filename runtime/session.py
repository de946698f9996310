"""The backend `onnxruntime`: opens its sessions, runs them, binds buffers. Only this imports onnxruntime."""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .artefact import FAMILIARITY, FEATURES, INPUT, OUTPUT, Metadata
from .errors import ArtefactError
from .origin import raised_by
from .text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from onnxruntime import InferenceSession

    from .image import Pixels

ONNXRUNTIME, AUTO = "onnxruntime", "auto"
FATAL_ONLY = 4
CPU = "CPUExecutionProvider"
AT_ONCE = 32  # images, of a graph that computes features


class Settings(NamedTuple):
    """What runs a model, and how onnxruntime does.

    threads: threads of one call, 1 to 1,024.
    spinning: whether these threads busy-wait for work, which is faster and keeps one core each at full load.
    providers: onnxruntime's execution providers, in the order of preference.
    backend: "onnxruntime", "numpy", or "auto" for the first of them that is installed.
    """

    threads: int = 1
    spinning: bool = False
    providers: tuple[str, ...] = (CPU,)
    backend: str = AUTO


def onnxruntime() -> Any:
    """Import onnxruntime with its telemetry off, which it reads at import."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def open_session(model: bytes, settings: Settings | None = None) -> InferenceSession:
    """Open an ONNX model without printing log lines.

    model: the content of an .onnx or .ort file.
    settings: None for the CPU and one thread that sleeps between calls.
    Raises ArtefactError where onnxruntime cannot load it, or not with these providers: there is no fallback to others.
    """
    settings = settings or Settings()
    if b"location" in model:  # the key that a tensor with external data must have
        from .external_data import has_external_data

        if has_external_data(model):
            raise ArtefactError("expected all weights in the file, found some in other files: export it again")
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
        if not raised_by(error, ONNXRUNTIME):
            raise
        raise ArtefactError(
            f"expected an ONNX file that onnxruntime {ort.__version__} loads, found one that it refuses "
            f"({one_line(error)}): export it again, or for an older runtime"
        ) from error.with_traceback(None)  # which would keep what was opened of the session
    remember(session)
    session.disable_fallback()  # for older onnxruntimes, which ignore the argument
    try:
        about = session.get_modelmeta()
        _ = about.custom_metadata_map, about.producer_name, [node.name for node in session.get_inputs()]
        _ = [str(node) for node in (*session.get_inputs(), *session.get_outputs())]
    except UnicodeDecodeError as error:  # onnxruntime does not check it
        if not raised_by(error, ONNXRUNTIME):
            raise
        raise ArtefactError("expected names and metadata in UTF-8, found other bytes: export it again") from error
    _check(settings, session.get_providers())
    return session


class OnnxruntimeSession:
    """A graph that onnxruntime runs, as `runtime.backend.Session` has it."""

    backend: str = ONNXRUNTIME
    library: str = ONNXRUNTIME

    def __init__(self, model: bytes, settings: Settings) -> None:
        session = self._session = open_session(model, settings)
        about = session.get_modelmeta()
        self.version: str = onnxruntime().__version__
        self.providers: Sequence[str] = session.get_providers()
        self.props: Mapping[str, str] = about.custom_metadata_map
        self.producer: str = about.producer_name
        self.inputs: Sequence[Any] = session.get_inputs()
        self.outputs: Sequence[Any] = session.get_outputs()
        self._on_cpu = settings.providers == (CPU,)
        self._at_once = AT_ONCE if any(node.name == FEATURES for node in self.outputs) else None

    def prepare(self, names: Sequence[str]) -> None:
        """Do nothing: the session is ready."""

    def run(self, names: Sequence[str], pixels: Pixels) -> list[NDArray[np.float32]]:
        """Compute outputs for images uint8 [N, H, W, C], N ≥ 1; a few at a time where the graph computes features."""
        run, step = self._session.run, self._at_once or len(pixels)
        parts = [run(names, {INPUT: pixels[at : at + step]}) for at in range(0, len(pixels), step)]
        return [np.concatenate(part) if len(part) > 1 else part[0] for part in zip(*parts, strict=True)]

    def bind(self, metadata: Metadata) -> tuple[Any, ...]:
        """Bind one thread's buffers."""
        session = self._session
        height, width, channels = metadata.image.shape
        pixels = np.zeros((1, height, width, channels), np.uint8)
        row = np.zeros((1, len(metadata.labels)), np.float32)
        binding = session.io_binding()
        remember(binding)
        binding.bind_cpu_input(INPUT, pixels)
        binding.bind_output(OUTPUT, "cpu", 0, np.float32, row.shape, row.ctypes.data)
        familiarity = np.zeros(1, np.float32) if metadata.has_familiarity else None
        if familiarity is not None:
            binding.bind_output(FAMILIARITY, "cpu", 0, np.float32, familiarity.shape, familiarity.ctypes.data)
        inputs = {pixels.shape[1:]: pixels[0]} | ({(height, width): pixels[0, :, :, 0]} if channels == 1 else {})

        def run_and_wait(binding: Any) -> None:
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()

        run = session.run_with_iobinding if self._on_cpu else run_and_wait
        return run, binding, inputs, row[0], familiarity


def _check(settings: Settings, available: list[str]) -> None:
    absent = [name for name in settings.providers if name not in available]
    if absent or not settings.providers:
        raise ArtefactError(
            f"expected providers out of {', '.join(available)}, found {', '.join(map(str, absent)) or 'none'}: "
            "install an onnxruntime that has them, or leave providers out"
        )


def remember(native: Any) -> None:
    """Take what holds threads of its own, such as a session, among those that `_keep` keeps."""
    _native.add(weakref.ref(native, _native.discard))  # a WeakSet's own callback would run signal handlers


_native: set[weakref.ref[Any]] = set()
_held: list[list[Any]] = []  # while a process forks


def _hold() -> None:
    _held.append([reference() for reference in _native.copy()])


def _release() -> None:
    _held.pop()


def _keep() -> None:
    """Keep the parent process's sessions in a forked child to its very end: closing one waits for absent threads."""
    kept = _held.copy()
    _held.clear()
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_keep)

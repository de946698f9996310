"""From an artefact's path or bytes to a `Classifier`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

from .classifier import Classifier
from .errors import ArtefactError, naming
from .files import FilePath, check_regular, read_at_most, reason
from .origin import raised_by
from .session import AUTO, CPU, Settings
from .sources import BYTES, is_resource
from .text import one_line

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

Model: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | Traversable"

ZIP_START, PAGE_START = b"PK\x03\x04", b"<!doctype html>"
MAX_MODEL_BYTES = 2 * 2**30
MAX_PATH_BYTES = 4096
SHOWN = 60
MAX_THREADS = 1024
DEFAULT = Settings()


def load(
    model: Model,
    *,
    selftest: bool = False,
    threads: int = 1,
    spinning: bool = False,
    providers: Iterable[str] = (CPU,),
    backend: str = AUTO,
) -> Classifier:
    """Open an artefact: `.onnx`, `.ort` or `.tflite`.

    model: its path, its bytes, or a Traversable as importlib.resources has it.
    selftest: whether to run the golden examples first.
    threads: threads of one call, 1 to 1,024.
    spinning: whether these threads busy-wait for work, which is faster and keeps one core each at full load.
    providers: onnxruntime's execution providers, in the order of preference.
    backend: what computes: "onnxruntime", "numpy", or "auto" for onnxruntime where it is installed, else numpy.
    Raises ArtefactError where the file is missing, damaged or not a valid artefact, or a provider is not available, and
    SelfTestError.
    """
    if isinstance(providers, str) or not isinstance(providers, Iterable):
        raise ArtefactError(f"expected a list of providers, found {providers!r}: leave it out for the CPU")
    data, name = read_content(model)
    if type(threads) is not int or not 1 <= threads <= MAX_THREADS:
        raise ArtefactError(f"{name}: expected 1 to {MAX_THREADS:,} threads, found {threads!r}: leave it out for 1")
    classifier = open_content(data, name, Settings(threads, spinning, tuple(providers), backend))
    if selftest:
        with naming(name):
            classifier.selftest()
    return classifier


def open_content(data: bytes, name: str, settings: Settings = DEFAULT) -> Classifier:
    """Open an artefact's content.

    name: its file's, for messages.
    Raises ArtefactError.
    """
    with naming(name):
        if data.startswith(ZIP_START):
            raise ArtefactError(
                "expected an ONNX artefact, found a zip file, as torch writes: export with `--format onnx`, or open it "
                "with torch"
            )
        if data.startswith(PAGE_START):
            raise ArtefactError(
                "expected an ONNX artefact, found a page: export with `--format onnx`, or open it in a browser"
            )
        return Classifier(data, settings)


def read_content(model: Model) -> tuple[bytes, str]:
    """Return an artefact's content, and its name for messages. Raises ArtefactError."""
    if isinstance(model, (bytes, bytearray)):
        data = bytes(model)
        if len(data) <= MAX_PATH_BYTES and b"\0" not in data:  # which every artefact is longer than, and has
            raise ArtefactError(
                f"{BYTES}: expected an artefact made by `kit export`, found {one_line(data[:SHOWN])}: pass a path as a "
                "string"
            )
        return data, BYTES
    if is_resource(model):
        return _reading(str(model), model.read_bytes), str(model)
    path = path_of(model)
    return read_artefact(path), path


def read_artefact(path: FilePath) -> bytes:
    """Read a file that may be an artefact of any format. Raises ArtefactError."""

    def read() -> bytes:
        size = check_regular(path, "an artefact", ArtefactError, limit=MAX_MODEL_BYTES)
        return read_at_most(path, size, MAX_MODEL_BYTES)

    return _reading(path, read)


def path_of(model: Model) -> str:
    """Return a path as a string. Raises ArtefactError for what is none."""
    try:
        return os.fsdecode(model)  # type: ignore[arg-type]
    except TypeError as error:
        raise ArtefactError(f"expected the path or the bytes of an artefact, found {type(model).__name__}") from error


def _reading(name: FilePath, read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except Exception as error:  # zip files raise many types
        if not raised_by(error):
            raise
        raise ArtefactError(
            f"{name}: expected an artefact, found: {reason(error)}: make one with `kit export --format onnx`"
        ) from error

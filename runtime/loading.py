"""From an artefact's path or bytes to a `Classifier`: `load` opens one, `classify` opens one and keeps it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable

from .classifier import Classifier
from .errors import ArtefactError, naming
from .files import FilePath, check_regular, read_at_most, reason
from .image import BYTES, ImageLike
from .prediction import Prediction
from .session import CPU, Settings

ZIP_START = b"PK\x03\x04"
MAX_MODEL_BYTES = 2 * 2**30


def load(
    model: FilePath | bytes,
    *,
    selftest: bool = False,
    threads: int = 1,
    spinning: bool = False,
    providers: Iterable[str] = (CPU,),
) -> Classifier:
    """Open an ONNX artefact.

    model: its path or its bytes.
    selftest: whether to run the golden examples first.
    threads: threads of one call, 1 to 1,024.
    spinning: whether these threads busy-wait for work, which is faster and keeps one core each at full load.
    providers: onnxruntime's execution providers, in the order of preference.
    Raises ArtefactError where the file is missing, damaged or not a valid artefact, or a provider is not available, and
    SelfTestError.
    """
    if isinstance(providers, str) or not isinstance(providers, Iterable):
        raise ArtefactError(f"expected a list of providers, found {providers!r}: leave it out for the CPU")
    settings = Settings(threads=threads, spinning=spinning, providers=tuple(providers))
    if isinstance(model, (bytes, bytearray)):
        data, name = bytes(model), BYTES
    else:
        name = _path(model)
        data = read_artefact(name)
        if data.startswith(ZIP_START):
            raise ArtefactError(
                f"{name}: expected an ONNX artefact, found a zip file, as torch writes: "
                "export with `--format onnx`, or open it with torch"
            )
    with naming(name):
        classifier = Classifier(data, settings)
        if selftest:
            classifier.selftest()
    return classifier


def read_artefact(path: FilePath) -> bytes:
    """Read a file that may be an artefact of any format. Raises ArtefactError."""
    try:
        size = check_regular(path, "an artefact", ArtefactError, limit=MAX_MODEL_BYTES)
        return read_at_most(path, size, MAX_MODEL_BYTES)
    except (OSError, ValueError) as error:
        raise ArtefactError(
            f"{path}: expected an artefact, found: {reason(error)}: make one with `kit export --format onnx`"
        ) from None


def classify(image: ImageLike, *, model: FilePath, top_k: int = 1) -> Prediction:
    """Classify one image with an artefact, which is opened once, and again only when the file changes.

    image, top_k: as in `Classifier.classify`.
    model: the artefact's path.
    Raises ArtefactError and InputError.
    """
    path = os.path.abspath(_path(model))  # noqa: PTH100 - Path costs more than the model
    return _opened(path).classify(image, top_k=top_k)


_cache: dict[str, tuple[tuple[int, int, int], Classifier]] = {}
_cache_lock = threading.Lock()


def _opened(path: str) -> Classifier:
    try:
        found = os.stat(path)  # noqa: PTH116 - as above
    except (OSError, ValueError):
        return load(path)
    signature = found.st_mtime_ns, found.st_size, found.st_ino
    cached = _cache.get(path)
    if cached is None or cached[0] != signature:
        with _cache_lock:
            cached = _cache.get(path)
            if cached is None or cached[0] != signature:
                cached = _cache[path] = signature, load(path)
    return cached[1]


def _after_fork() -> None:
    global _cache_lock  # another thread of the parent may have held it
    _cache_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _path(model: FilePath) -> str:
    try:
        return os.fspath(model)
    except TypeError:
        raise ArtefactError(f"expected the path or the bytes of an artefact, found {type(model).__name__}") from None

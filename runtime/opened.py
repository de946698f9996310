"""`runtime.classify`: the artefacts used last stay open, and each is opened again when its file changes."""

from __future__ import annotations

import os
import threading
import time
import warnings
from itertools import count

from .classifier import Classifier
from .errors import ArtefactError
from .image import ImageLike
from .loading import Model, open_content, path_of, read_artefact, read_content
from .origin import raised_by
from .prediction import Prediction
from .sources import is_resource

KEPT = 16
TICK = 10**8  # nanoseconds; the clocks of file systems are finer

Signature = tuple[int, ...]


def classify(image: ImageLike, *, model: Model, top_k: int = 1, confidence: float | None = None) -> Prediction:
    """Classify one image with an artefact that stays open, as the 16 used last do.

    image, top_k, confidence: as in `Classifier.classify`.
    model: as in `load`. A file is looked at in each call, and opened again when it has changed. Where it is no artefact
        then, as while it is overwritten, the last one goes on, with a RuntimeWarning.
    Raises ArtefactError and InputError.
    """
    if isinstance(model, (bytes, bytearray)) or is_resource(model):
        classifier = _kept.of_content(*read_content(model))
    else:
        classifier = _kept.of_file(os.path.abspath(path_of(model)))  # noqa: PTH100 - Path costs more than the model
    return classifier.classify(image, top_k=top_k, confidence=confidence)


class _Opened:
    """An artefact that is open.

    data: the content that it was opened from.
    signature: the file's when it was read last; None where it is to be read again in any case.
    used: the number of its last use.
    warned: whether there was a warning of a damaged file since it was opened.
    """

    __slots__ = ("classifier", "data", "signature", "used", "warned")

    def __init__(self, classifier: Classifier, data: bytes, signature: Signature | None = None) -> None:
        self.classifier, self.data, self.signature = classifier, data, signature
        self.used, self.warned = 0, False


class _Kept:
    """The artefacts that are open, at most KEPT, by path or content. Safe in threads."""

    def __init__(self) -> None:
        self._opened: dict[str | bytes, _Opened] = {}
        self._uses = count()
        self.forget_parent()

    def forget_parent(self) -> None:
        """Replace the lock in a forked child, as another thread of the parent may hold it."""
        self._lock = threading.RLock()  # a signal handler may classify too

    def of_content(self, data: bytes, name: str) -> Classifier:
        found = self._opened.get(data)
        if found is None:
            with self._lock:
                found = self._opened.get(data) or self._keep(data, _Opened(open_content(data, name), data))
        found.used = next(self._uses)
        return found.classifier

    def of_file(self, path: str) -> Classifier:
        signature, found = _signature(path), self._opened.get(path)
        if found is None or signature is None or found.signature != signature:
            with self._lock:
                found = self._look(path)
        found.used = next(self._uses)
        return found.classifier

    def _look(self, path: str) -> _Opened:
        """Read the file, unless another thread has just done so, and open it if its content is new."""
        now, signature, found = time.time_ns(), _signature(path), self._opened.get(path)
        if found and signature and found.signature == signature:
            return found
        settled = signature if signature and abs(now - signature[0]) > TICK else None
        data = None
        try:
            data = read_artefact(path)
            if found is None or found.data != data:
                found = self._keep(path, _Opened(open_content(data, path), data))
        except ArtefactError as error:
            if found is None or signature is None:
                raise
            found.signature = None if data is None else settled
            if not found.warned:
                found.warned = True
                message = f"{error}: until then, the artefact that was here before answers"
                warnings.warn(message, RuntimeWarning, stacklevel=4)
        else:
            found.signature, found.warned = settled, False
        return found

    def _keep(self, key: str | bytes, opened: _Opened) -> _Opened:
        while key not in self._opened and len(self._opened) >= KEPT:
            del self._opened[min(self._opened, key=lambda other: self._opened[other].used)]
        self._opened[key] = opened
        opened.used = next(self._uses)
        return opened


def _signature(path: str) -> Signature | None:
    """Return what changes with a file, the time of its last change first; None where there is no such file."""
    try:
        found = os.stat(path)  # noqa: PTH116 - as above
    except (OSError, ValueError) as error:
        if not raised_by(error):
            raise
        return None
    return found.st_ctime_ns, found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev


_kept = _Kept()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_kept.forget_parent)

"""Looking at the first images of a classifier's life, and at none after them."""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..artefact import PixelStatistics
    from ..image import Pixels
    from .measures import Finding

LOOK_AT = (8, 64)  # numbers of images seen at which they are looked at; the last one ends it
BYTES = 16 * 2**20


class SkewWarning(UserWarning):
    """Images look unlike those that the model was trained on."""


class Watch:
    """Keeps the first images, names what looks wrong with them, once as a SkewWarning, and ends. Safe in threads."""

    def __init__(self, statistics: PixelStatistics | None) -> None:
        self.over = False
        self._statistics = statistics
        self._images: list[Pixels] = []
        self._found: list[Finding] = []
        self._lock = threading.Lock()

    def see(self, images: Pixels) -> None:
        """Take a look at images of the model's size: uint8 [N, H, W, C]."""
        with self._lock:
            for image in images:
                if self.over:
                    return
                self._images.append(image.copy())
                full = image.nbytes * len(self._images) > BYTES
                if full or len(self._images) in LOOK_AT:
                    self.over = full or len(self._images) == LOOK_AT[-1]
                    self._look()
                    if self.over:
                        self._images.clear()

    def findings(self) -> list[Finding]:
        """Name what looks wrong with the images seen so far."""
        with self._lock:
            return list(self._found) if self.over else self._findings()

    def forget_parent(self) -> None:
        """Begin with a lock of its own in a forked child, as another thread of the parent may hold this one."""
        self._lock = threading.Lock()

    def _look(self) -> None:
        first = not self._found
        self._found = self._findings()
        if first and self._found:
            message = "; ".join(finding.message for finding in self._found)
            warnings.warn(SkewWarning(message), stacklevel=5)

    def _findings(self) -> list[Finding]:
        from .measures import findings

        return findings(np.stack(self._images), self._statistics) if self._images else []

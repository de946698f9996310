"""Detects input skew in the first images that a classifier is given, and looks at none after them."""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..image import Pixels
    from ..pixel_statistics import PixelStatistics
    from .measures import Finding

LOOK_AT = (8, 64)  # numbers of images after which they are examined; the last one ends it
BYTES = 16 * 2**20


class SkewWarning(UserWarning):
    """Images look unlike those that the model was trained on: input skew."""


class FirstImages:
    """Keeps the first images, examines them, and warns of input skew once with a SkewWarning. Safe in threads."""

    def __init__(self, statistics: PixelStatistics | None) -> None:
        self.over = False
        self._statistics = statistics
        self._images: list[Pixels] = []
        self._found: list[Finding] = []
        self._lock = threading.Lock()

    def see(self, images: Pixels) -> None:
        """Take the next images, of the model's size: uint8 [N, H, W, C]."""
        with self._lock:
            for image in images:
                if self.over:
                    return
                self._images.append(image.copy())
                full = image.nbytes * len(self._images) > BYTES
                if full or len(self._images) in LOOK_AT:
                    self.over = full or len(self._images) == LOOK_AT[-1]
                    self._examine()
                    if self.over:
                        self._images.clear()

    def findings(self) -> list[Finding]:
        """Return the input skew found in the images so far."""
        with self._lock:
            return list(self._found) if self.over else self._findings()

    def forget_parent(self) -> None:
        """Replace the lock in a forked child, as another thread of the parent may hold it."""
        self._lock = threading.Lock()

    def _examine(self) -> None:
        first = not self._found
        self._found = self._findings()
        if first and self._found:
            message = "; ".join(finding.message for finding in self._found)
            warnings.warn(SkewWarning(message), stacklevel=5)

    def _findings(self) -> list[Finding]:
        from .measures import findings

        return findings(np.stack(self._images), self._statistics) if self._images else []

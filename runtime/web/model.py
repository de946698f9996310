"""A model for browsers as an artefact: run by Node, then asked as any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArtefactError, SelfTestError
from ..image import Pixels
from .node import NO_IMAGES, OPEN, PIXELS, PROBABILITIES, SELFTEST, Module
from .reading import read_web


class WebModel:
    """A model for browsers, run by Node.

    path: folder or page that `kit export` wrote.
    Raises ArtefactError, and ToolchainError without Node.
    """

    def __init__(self, path: Path) -> None:
        source = read_web(path)
        self._path, self._module = path, Module(source.module, source.model)
        said, _ = self._ask(OPEN)
        self.metadata = source.metadata._replace(labels=tuple(said["labels"]))

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """uint8 [N, H, W, C] → float32 [N, K]."""
        return np.frombuffer(self._ask(PROBABILITIES, pixels)[1], "<f4").reshape(-1, len(self.metadata.labels))

    def pixels(self, images: Pixels) -> Pixels:
        """Bring images to the model's size and colour: uint8 [N, h, w, 1, 3 or 4] → uint8 [N, H, W, C]."""
        return np.frombuffer(self._ask(PIXELS, images)[1], np.uint8).reshape(-1, *self.metadata.image.shape)

    def selftest(self) -> float:
        """Run the golden examples; return the largest difference in probability. Raises SelfTestError."""
        return float(self._ask(SELFTEST, error=SelfTestError)[0]["difference"])

    def _ask(
        self, mode: int, images: Pixels | None = None, error: type[ArtefactError | SelfTestError] = ArtefactError
    ) -> tuple[dict[str, Any], bytes]:
        given = (b"", NO_IMAGES) if images is None else (images.tobytes(), images.shape)
        said, computed = self._module.ask(mode, *given)
        if "error" in said:
            raise error(f"{self._path}: {said['error']}")
        return said, computed

"""A model for browsers as an artefact: run by Node, then asked as any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ArtefactError, SelfTestError
from ..image import Pixels
from .node import run
from .reading import read_web


class WebModel:
    """A model for browsers, run by Node.

    path: folder or page that `kit export` wrote.
    Raises ArtefactError, and ToolchainError without Node.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._source = path, read_web(path)
        labels, _ = self._run("probabilities")
        self.metadata = self._source.metadata._replace(labels=tuple(labels["labels"]))

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """uint8 [N, H, W, C] → float32 [N, K]."""
        return np.frombuffer(self._run("probabilities", pixels)[1], "<f4").reshape(len(pixels), -1)

    def pixels(self, images: Pixels) -> Pixels:
        """Bring images to the model's size and colour: uint8 [N, h, w, 1, 3 or 4] → uint8 [N, H, W, C]."""
        return np.frombuffer(self._run("pixels", images)[1], np.uint8).reshape(-1, *self.metadata.image.shape)

    def selftest(self) -> float:
        """Run the golden examples; return the largest difference in probability. Raises SelfTestError."""
        said, _ = self._run("selftest", error=SelfTestError)
        return float(said["difference"])

    def _run(
        self, mode: str, images: Pixels | None = None, error: type[ArtefactError | SelfTestError] = ArtefactError
    ) -> tuple[dict[str, object], bytes]:
        given = (b"",) if images is None else (images.tobytes(), images.shape)
        said, computed = run(mode, self._source.module, self._source.model, *given)
        if "error" in said:
            raise error(f"{self._path}: {said['error']}")
        return said, computed

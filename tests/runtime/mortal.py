"""A scorer whose processes die."""

import os
import signal
from pathlib import Path
from typing import Any

from runtime import Classifier
from runtime.scoring.inputs import Chunk, Files
from runtime.scoring.scorer import Scored, Scorer


class Mortal(Scorer):
    """Its process is killed at the image `name`, as often as there are files in the folder `lives`."""

    def __init__(self, classifier: Classifier, name: str, lives: Path) -> None:
        super().__init__(classifier)
        self._arguments = classifier, name, lives

    def score(self, numbered: tuple[int, Chunk]) -> Scored:
        """Die or score."""
        _, name, lives = self._arguments
        left = sorted(lives.iterdir())
        if isinstance(numbered[1], Files) and name in numbered[1].names and left:
            left[0].unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().score(numbered)

    def __reduce__(self) -> tuple[Any, ...]:
        return Mortal, self._arguments

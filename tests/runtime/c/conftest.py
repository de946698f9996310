"""The digits model in C."""

from pathlib import Path

import pytest

from export import export
from trainer import Checkpoint


@pytest.fixture(scope="session")
def folder(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `kit export --format c` writes it, for frames of 40 × 30 too."""
    return export(checkpoint, "c", tmp_path_factory.mktemp("c") / "digits_c", frame=(40, 30)).path


@pytest.fixture(scope="session")
def library(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `kit export --format arduino` writes it."""
    return export(checkpoint, "arduino", tmp_path_factory.mktemp("arduino") / "digits.arduino.zip").path

"""The digits model for browsers."""

from pathlib import Path

import pytest

from export import export
from trainer import Checkpoint, Dataset, FitConfig, fit


@pytest.fixture(scope="session")
def folder(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `kit export --format js` writes it."""
    return export(checkpoint, "js", tmp_path_factory.mktemp("js") / "digits_js").path


@pytest.fixture(scope="session")
def familiar(digits: Dataset) -> Checkpoint:
    """With thresholds and familiarity."""
    return fit(digits, FitConfig(device="cpu", max_error=0.05, familiarity=True)).checkpoint

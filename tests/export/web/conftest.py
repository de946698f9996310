"""The digits model for browsers."""

from pathlib import Path

import pytest

from export import export
from trainer import Checkpoint


@pytest.fixture(scope="session")
def page(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `kit export --format html` writes it."""
    return export(checkpoint, "html", tmp_path_factory.mktemp("html") / "digits.html").path


@pytest.fixture(scope="session")
def folder(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `kit export --format js` writes it."""
    return export(checkpoint, "js", tmp_path_factory.mktemp("js") / "digits_js").path

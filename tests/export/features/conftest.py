"""A checkpoint on features, exported to every format."""

from pathlib import Path

import pytest

from export import export
from export.formats import FORMATS
from tests.export.features.graphs import convolution, on_features
from tests.formats import OF_FEATURES
from trainer import Checkpoint


@pytest.fixture(scope="session")
def deep() -> Checkpoint:
    return on_features(convolution())


@pytest.fixture(scope="session")
def deep_exported(deep: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("deep")
    return {name: export(deep, name, folder / f"model{FORMATS[name].suffix}").path for name in OF_FEATURES}

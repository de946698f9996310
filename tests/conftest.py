"""Data sets, trained models and artefacts that the tests share."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import kit
from export import export
from export.formats import FORMATS
from tests.formats import FILES
from tests.interpreter import Kit
from trainer import Checkpoint, Dataset, Fit, FitConfig, Split, fit, load_data

DIGITS_CONFIG = FitConfig(epochs=10, batch_size=32, device="cpu", calibrate=False)
DATA_DIR = Path(os.environ.get("KIT_DATA_DIR", "data"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep decoded images in a folder of the test's own."""
    monkeypatch.setenv("KIT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load_data("digits")


@pytest.fixture(scope="session")
def digits_fit(digits: Dataset) -> Fit:
    return fit(digits, DIGITS_CONFIG)


@pytest.fixture(scope="session")
def checkpoint(digits_fit: Fit) -> Checkpoint:
    return digits_fit.checkpoint


@pytest.fixture(scope="session")
def exported(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The digits checkpoint as an artefact of every format."""
    folder = tmp_path_factory.mktemp("exported")
    return {name: export(checkpoint, name, folder / f"model{FORMATS[name].suffix}").path for name in FILES}


@pytest.fixture(scope="session")
def model(exported: dict[str, Path]) -> Path:
    """The digits artefact that the runtime opens."""
    return exported["onnx"]


@pytest.fixture(scope="session")
def c_folder(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits checkpoint as `kit export --format c` writes it, for frames of 40 × 30 too."""
    return export(checkpoint, "c", tmp_path_factory.mktemp("c") / "digits_c", frame=(40, 30)).path


@pytest.fixture(scope="session")
def c_library(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits checkpoint as `kit export --format arduino` writes it."""
    return export(checkpoint, "arduino", tmp_path_factory.mktemp("arduino") / "digits.arduino.zip").path


@pytest.fixture(scope="session")
def fashion_dir() -> Path:
    """Where the real Fashion-MNIST lies."""
    if not (DATA_DIR / "FashionMNIST" / "raw" / "train-images-idx3-ubyte").exists():
        pytest.skip(f"no Fashion-MNIST in {DATA_DIR}, by KIT_DATA_DIR")
    return DATA_DIR


@pytest.fixture(scope="session")
def fashion(fashion_dir: Path) -> Dataset:
    return load_data("fashion-mnist", data_dir=fashion_dir)


@pytest.fixture
def tiny() -> Dataset:
    """Three classes of 6 × 5 colour images that differ in brightness."""
    generator = np.random.default_rng(0)
    targets = np.arange(120) % 3
    images = (generator.integers(0, 60, (120, 6, 5, 3)) + 80 * targets[:, None, None, None]).astype(np.uint8)
    split = Split(torch.from_numpy(images), torch.from_numpy(targets))
    return Dataset(name="tiny", labels=("dark", "middle", "bright"), train=split, test=split)


@pytest.fixture
def run_kit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kit:
    """Run the command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KIT_DATA_DIR", raising=False)

    def run(*arguments: str | Path) -> Result:
        result = CliRunner().invoke(kit.main, [str(argument) for argument in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run

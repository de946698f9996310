"""An opened artefact, and images for it: arrays, encoded ones, and a folder."""

from pathlib import Path

import pytest

import runtime
from runtime import Classifier
from runtime.image import Pixels
from tests.runtime.predicted import png
from trainer import Dataset


@pytest.fixture
def classifier(model: Path) -> Classifier:
    return runtime.load(model)


@pytest.fixture
def images(digits: Dataset) -> Pixels:
    return digits.test.images.numpy()


@pytest.fixture(scope="module")
def encoded(digits: Dataset) -> list[bytes]:
    return [png(pixels) for pixels in digits.test.images.numpy()]


@pytest.fixture(scope="module")
def expected(digits: Dataset, model: Path) -> list[tuple[str, int, float]]:
    """Label, index and probability of each image, by the classifier itself."""
    predictions = runtime.load(model).classify_batch(digits.test.images.numpy())
    return [(prediction.label, prediction.index, prediction.probability) for prediction in predictions]


@pytest.fixture
def photos(encoded: list[bytes], tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    for number, data in enumerate(encoded[:30]):
        (folder / ("deeper" if 10 <= number < 20 else "") / f"{number:02}.png").write_bytes(data)
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_text("no image")
    return folder

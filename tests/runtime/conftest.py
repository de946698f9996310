"""An opened artefact, and images for it."""

from pathlib import Path

import pytest

import runtime
from runtime import Classifier
from runtime.image import Pixels
from trainer import Dataset


@pytest.fixture
def classifier(model: Path) -> Classifier:
    return runtime.load(model)


@pytest.fixture
def images(digits: Dataset) -> Pixels:
    return digits.test.images.numpy()

"""Data and models that the benchmarks' tests share."""

import sys
from pathlib import Path

import pytest
import torch

from benchmarks.peers import exporters
from benchmarks.tools import subject
from benchmarks.tools.measure import fresh
from trainer import Dataset, Split


@pytest.fixture
def made_up() -> Dataset:
    """600 training images that a few epochs tell apart."""
    targets = torch.arange(600) % 3
    images = (torch.rand(600, 8, 8, 1, generator=torch.Generator().manual_seed(0)) * 100).byte()
    images[:, :, :3, 0] += (60 * targets[:, None, None]).byte()
    split = Split(images, targets)
    return Dataset(name="made up", labels=("a", "b", "c"), train=split, test=split)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits, the model in all forms, and the files that ours and skl2onnx export."""
    place = tmp_path_factory.mktemp("subject")
    assert subject.prepare(place, "digits", None, few=True) == "digits: 1,437 training and 360 test images of 8×8×1"
    if sys.platform == "linux":
        for write in (exporters.ours, exporters.skl2onnx):
            fresh(write, folder=str(place))
    return place

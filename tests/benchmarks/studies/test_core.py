"""The study of an epoch, on few images."""

import click
import pytest
import torch

from benchmarks.peers import textbook
from benchmarks.studies import core
from tests.benchmarks.reading import cells
from trainer import Dataset


def test_core(made_up: Dataset) -> None:
    pixels, targets = made_up.train.images[:], made_up.train.targets.tolist()
    peer: textbook.Images = [(image[..., 0] / 255, target) for image, target in zip(pixels, targets, strict=True)]  # type: ignore[assignment]
    sweeps, epochs, accuracy = core.compare(made_up, peer, rounds=2, textbook_rounds=1, floor=0.3)
    assert [row[0] for row in cells(sweeps)] == [core.OURS, core.SWEEP, core.SAME_LAYOUT]
    assert [row[0] for row in cells(epochs)] == [core.OURS, core.TEXTBOOK]
    assert accuracy.startswith("test accuracy")


def test_core_refuses_a_model_that_did_not_learn(made_up: Dataset) -> None:
    with pytest.raises(click.ClickException, match="expected ours: a test accuracy of at least"):
        list(core.compare(made_up, [(torch.zeros(8, 8), 0)], rounds=1, textbook_rounds=1, floor=1.1))  # type: ignore[arg-type]

"""The study of parity, on digits."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.studies import parity
from tests.benchmarks.reading import cells
from trainer import Checkpoint, Dataset


@pytest.fixture
def few(digits: Dataset) -> Dataset:
    return replace(digits, train=digits.train.subset(torch.arange(200)), test=digits.test.subset(torch.arange(60)))


def test_compare(few: Dataset) -> None:
    chosen = [parity.Subject("digits", features, lambda: few) for features in ("pixels", "patches")]
    (text,) = parity.compare(chosen)
    for row, features in zip(cells(text), ("pixels", "patches"), strict=True):
        assert row[:4] == ["digits", features, "8×8×1", "60"]
        assert row[5:] == ["≤ 1e-05: met", "0", "≤ 0: met"]


def test_a_file_of_another_model_misses(few: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    right = parity.in_float64
    monkeypatch.setattr(parity, "in_float64", lambda *given: np.roll(right(*given), 1, axis=1))
    (text,) = parity.compare([parity.Subject("digits", "pixels", lambda: few)])
    ((*_, limit, labels, none),) = cells(text)
    assert (limit, labels, none) == ("≤ 1e-05: MISSED", "60", "≤ 0: MISSED")


def test_pixels_need_no_graph(checkpoint: Checkpoint, digits: Dataset) -> None:
    found = parity.in_float64(checkpoint, digits.test.images.numpy()[:5])
    assert found.dtype == np.float64
    assert found.shape == (5, 10)


def test_subjects() -> None:
    assert [one[:2] for one in parity.subjects(None, None, None)] == [("digits", "pixels"), ("digits", "patches")]

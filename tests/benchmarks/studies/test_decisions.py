"""The benchmarks of decisions and of familiarity at a tiny size."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.studies import decisions
from benchmarks.studies import familiarity as other_images
from tests.benchmarks.reading import cells
from trainer import load_data

DIGITS = {"digits": partial(load_data, "digits")}


def test_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "SEEDS", 1)
    auto, sgd = cells(decisions.calibration(DIGITS))
    assert auto[:3] == ["digits", "auto", "0"]
    assert sgd[:3] == ["digits", "sgd", "0"]
    assert float(sgd[5]) < float(sgd[4])  # the log loss after calibration, and before
    assert float(sgd[9]) < float(sgd[8])
    assert sgd[6] == sgd[7]


def test_the_guarantee(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "SPLITS", 6)
    monkeypatch.setattr(decisions, "RATES", (0.1,))
    (row,) = cells(decisions.guarantee(DIGITS))
    assert row[:4] == ["digits", "10%", "449", "6 of 6"]
    assert int(row[4]) <= 6
    assert all(float(share) > 0.85 for share in row[7:])


def test_familiarity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_images, "COUNT", 20)
    (tmp_path / "test" / "cat").mkdir(parents=True)
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "test" / "cat" / f"{number}.jpg")
    (table,) = other_images.familiarity(DIGITS, tmp_path)
    found = {row[0]: row for row in cells(table)}
    assert set(found) == {"its own test images", "noise", "one grey", "letters", "pixels inverted", "CIFAR-10"}
    assert float(found["its own test images"][2]) < 0.05
    assert float(found["noise"][2]) > 0.9
    assert found["CIFAR-10"][1] == "3"


def test_letters_differ() -> None:
    found = other_images.letters(30)
    assert found.shape == (30, 28, 28)
    assert len({image.tobytes() for image in found}) == 30

"""The benchmark of input skew at a tiny size."""

from collections import Counter

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.studies import skew
from tests.benchmarks.reading import cells
from trainer import Dataset


@pytest.fixture(scope="module")
def subject(digits: Dataset) -> skew.Subject:
    return skew.Subject.of(digits)


def test_compare(subject: skew.Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skew, "FEW", 5)
    few = skew.Subject(subject.images[:64], subject.by_class[:64], subject.statistics)
    flower = skew.Subject.of(skew.crops(skew.PHOTOS["crops of flower.jpg"], step=16))
    alarms, wrong, swapped, cost = skew.compare({"digits": few}, {"flower": flower})
    assert [row[:2] for row in cells(alarms)] == [
        [name, change] for name in ("digits", "flower") for change in skew.MODERATE
    ]
    assert all(row[2] == row[4] == row[5] == "0.00%" for row in cells(alarms)[: len(skew.MODERATE)])
    found = {row[1]: row[3:] for row in cells(wrong)}
    assert list(found) == list(skew.WRONG)
    assert found["255 − pixels"] == ["100.00%", "100.00%", "100.00%", "≥ 0.99: met"]
    assert found["scaled to 0-1, cut"][1] == "100.00%"
    assert [row[:2] for row in cells(swapped)] == [["flower", "BGR"]]
    assert [row[1] for row in cells(cost)] == ["5 × 8 × 8 × 1", "1 × 8 × 8 × 1"]


def test_the_images_of_a_subject(subject: skew.Subject, digits: Dataset) -> None:
    images = digits.test.images.numpy()
    for order in (subject.images, subject.by_class):
        assert sorted(map(bytes, order)) == sorted(map(bytes, images))
    first = int((digits.test.targets == 0).sum())
    np.testing.assert_array_equal(subject.by_class[:first], images[digits.test.targets.numpy() == 0])


def test_changes_do_not_wrap() -> None:
    pixels = np.array([0, 100, 200, 255], np.uint8)
    assert skew.linear(4)(pixels).tolist() == [0, 255, 255, 255]
    assert skew.linear(1, 128)(pixels).tolist() == [128, 228, 255, 255]
    assert skew.linear(1.2, -25.6)(pixels).tolist() == [0, 94, 214, 255]


def test_crops_of_training_and_test_have_no_pixel_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (70, 200, 3))

    class Photos:
        images = (columns, columns)

    monkeypatch.setattr(skew, "load_sample_images", Photos)
    data = skew.crops((0, 1))
    train, test = (set(half.images[:].unique().tolist()) for half in (data.train, data.test))
    assert train
    assert test
    assert not train & test
    assert data.train.targets.unique().tolist() == [0, 1]


def test_share() -> None:
    assert skew.share(Counter({"blank": 1, "inverted": 1}), 8) == "25.00% (blank, inverted)"
    assert skew.share(Counter(), 8) == "0.00%"


def test_says_which_folder_is_missing(tmp_path: object) -> None:
    result = CliRunner().invoke(skew.main, [], env={"KIT_DATA_DIR": str(tmp_path)})
    assert result.exit_code == 1
    assert "Fashion-MNIST" in result.stderr

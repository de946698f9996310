"""The first images of a classifier's life are looked at, and none after them."""

import warnings
from typing import Any

import pytest

from runtime import Classifier, SkewWarning
from runtime.image import Pixels
from runtime.skew.first_images import LOOK_AT, FirstImages


def test_right_images_stay_silent(classifier: Classifier, images: Pixels) -> None:
    for image in images[:100]:
        classifier.classify(image)
    classifier.classify_batch(images)
    assert classifier.info()["skew"] == []


@pytest.mark.parametrize("whole", [False, True])
def test_wrong_images_are_named_once(classifier: Classifier, images: Pixels, whole: bool) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if whole:
            classifier.classify_batch(255 - images[:100])
        for image in 255 - images[:100]:
            classifier.classify(image)
    (warning,) = caught
    assert warning.category is SkewWarning
    assert "pass 255 - image" in str(warning.message)
    assert [finding["cause"] for finding in classifier.info()["skew"]] == ["inverted"]


def test_info_names_what_was_seen_so_far(classifier: Classifier, images: Pixels) -> None:
    assert classifier.info()["skew"] == []
    classifier.classify(255 - images[0])
    assert [finding["cause"] for finding in classifier.info()["skew"]] == ["inverted"]


def test_later_images_are_not_looked_at(
    classifier: Classifier, images: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    for image in images[: LOOK_AT[-1]]:
        classifier.classify(image)

    def never(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("runtime.skew.first_images.FirstImages.see", never)
    for image in 255 - images[:10]:
        classifier.classify(image)


def test_probabilities_are_not_looked_at(classifier: Classifier, images: Pixels) -> None:
    classifier.probabilities(255 - images)
    assert classifier.info()["skew"] == []


def test_large_images_are_few(monkeypatch: pytest.MonkeyPatch, images: Pixels) -> None:
    monkeypatch.setattr("runtime.skew.first_images.BYTES", 300)
    first = FirstImages(None)
    first.see(images[:4])
    assert not first.over
    first.see(images[4:5])
    assert first.over

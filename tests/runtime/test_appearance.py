"""Statistics of the training images inside an artefact: written, read, and refused where they do not fit."""

import json
import re
from typing import Any

import numpy as np
import pytest

from runtime import ArtefactError, ImageContract
from runtime.artefact import Metadata, dumps, from_json
from runtime.golden import Golden
from runtime.pixel_statistics import Appearance, PixelStatistics
from runtime.skew.measures import findings
from tests.runtime.given import described, tinted
from trainer import Dataset
from trainer.provenance import training_sample


@pytest.fixture(scope="module")
def statistics(digits: Dataset) -> PixelStatistics:
    return described(training_sample(digits.train, 0))


def metadata(statistics: PixelStatistics | None, color: str = "L") -> Metadata:
    return Metadata(
        labels=("cat", "dog"),
        image=ImageContract(height=1, width=1, color=color),
        pixel_statistics=statistics,
        golden=Golden(
            images=np.zeros((1, 1, 1, 1 if color == "L" else 3), np.uint8),
            probabilities=np.full((1, 2), 0.5, np.float32),
            tolerance=1e-5,
        ),
        provenance={},
    )


def test_statistics_travel_in_the_artefact(statistics: PixelStatistics) -> None:
    colours = described(tinted(300, (40, 0, -40)))
    for found, color in ((statistics, "L"), (colours, "RGB")):
        document = json.loads(dumps(metadata(found, color).to_json()))
        assert len(dumps(document["pixel_statistics"])) < 1500
        assert from_json(document).pixel_statistics == found


def test_the_same_images_give_the_same_statistics(digits: Dataset) -> None:
    sample = training_sample(digits.train, 0)
    texts = {
        dumps(metadata(described(images)).to_json()) for images in (sample, sample.copy(), np.asfortranarray(sample))
    }
    assert len(texts) == 1
    assert described(sample).appearance == described(sample[::-1]).appearance


def test_format_1_0_is_read(statistics: PixelStatistics) -> None:
    document = metadata(statistics).to_json() | {"version": "1.0", "pixel_statistics": {"mean": [70], "std": [90]}}
    assert from_json(document).pixel_statistics == PixelStatistics(mean=(70.0,), std=(90.0,))


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("border", [1.0]),
        ("border", [float("nan")] * 16),
        ("whole", [-0.1] * 16),
        ("whole", "sixteen numbers"),
        ("whole", [[0.1]] * 16),
        ("colours", [0.04] * 25),
        ("colours", None),
        ("least_range", -1),
        ("least_range", "many"),
        ("least_peak", 256),
        ("one", []),
        ("one", {"peak": "high"}),
        ("several", {"peak": float("inf")}),
        ("several", {"peak": None}),
    ],
)
def test_appearances_that_do_not_fit(statistics: PixelStatistics, entry: str, value: Any) -> None:
    document = json.loads(dumps(metadata(statistics).to_json()))
    document["pixel_statistics"]["appearance"][entry] = value
    message = "kit.pixel_statistics: expected mean and std, a finite number a channel, and an appearance"
    with pytest.raises(ArtefactError, match=re.escape(message)):
        from_json(document)


@pytest.mark.parametrize("missing", Appearance._fields)
def test_appearances_that_lack_something(statistics: PixelStatistics, missing: str) -> None:
    document = json.loads(dumps(metadata(statistics).to_json()))
    del document["pixel_statistics"]["appearance"][missing]
    with pytest.raises(ArtefactError, match=re.escape("kit.pixel_statistics: expected")):
        from_json(document)


def test_limits_by_names_of_a_later_version_are_let_be(statistics: PixelStatistics, digits: Dataset) -> None:
    document = json.loads(dumps(metadata(statistics).to_json()))
    document["pixel_statistics"]["appearance"]["several"] = {"sharpness": 3.0}
    assert findings(255 - digits.test.images.numpy()[:32], from_json(document).pixel_statistics) == []

"""The study of features, on a few made-up photos; no time is asserted."""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from PIL import Image

from benchmarks.studies import features
from benchmarks.studies.features import BY_HAND, NETWORK, Way
from tests.benchmarks.reading import cells

EACH = 12  # images of each class in the training part
PATCHES, PIXELS = Way("patches", 16), Way("pixels", 16)
KEYS = {"accuracy", "images", "ms", "seconds", "size", "steps", "test", "train"}


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What passes to and from a fresh process is JSON."""

    def call(function: Any, **settings: Any) -> Any:
        return json.loads(json.dumps(function(**json.loads(json.dumps(settings)))))

    monkeypatch.setattr(features, "fresh", call)


@pytest.fixture
def photos(tmp_path: Path) -> str:
    """Photos of stripes in noise, some upright and some level."""
    stripes = np.repeat([[0, 150] * 5], 24, axis=0).repeat(2, axis=1)  # [24, 20]
    generator = np.random.default_rng(0)
    for part, count in (("train", EACH), ("test", 3)):
        for label, pattern in (("level", stripes.T[:, :20]), ("upright", stripes[:20])):
            folder = tmp_path / "photos" / part / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = pattern[..., None] + generator.integers(0, 90, (20, 20, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:02}.png")
    return str(tmp_path / "photos")


@pytest.mark.slow
@pytest.mark.spawns
def test_ours(photos: str) -> None:
    counts, text = features.compare(photos, [PATCHES, PIXELS], seconds=0.1)
    assert counts == "24 training and 6 test images"
    ratios, figures = text.split("\n\n")
    assert [row[0] for row in cells(ratios)] == ["ours, patches", "ours, pixels"]
    rows = cells(figures)
    assert [row[1:3] for row in rows] == [["16×16×3", "1.0000"]] * 2
    assert [row[-1] for row in rows] == ["2 commands"] * 2


def test_few(photos: str) -> None:
    (text,) = features.compare_few(photos, [PIXELS], draws=2)
    assert cells(text) == [["ours, pixels", "2", "1.0000", "1.0000"]]


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of scikit-learn 1.9, for arguments that older ones do not have
def test_by_hand(photos: str) -> None:
    """The same photos in the same order, and features that agree with the kit's graph."""
    peer = pytest.importorskip("benchmarks.peers.photos", reason="no efficientnet-lite-pytorch", exc_type=ImportError)
    way = BY_HAND._replace(size=32)
    found = features.by_hand(photos, None, way, seconds=0.1)
    assert found.keys() == KEYS
    assert found["accuracy"] == 1
    assert features.few_by_hand(photos, way, draws=1)["accuracies"] == [1]
    data = features.with_features(features.load(photos, None, PIXELS._replace(size=32)), NETWORK)
    images, targets = peer.photos(Path(photos, "test"), 32)
    assert found["test"] == targets.tolist() == data.test.targets.tolist()
    np.testing.assert_array_equal(images, data.test.images.numpy())
    expected = peer.features(peer.network(32), images)
    np.testing.assert_allclose(data.test.inputs.images.numpy().reshape(len(images), -1), expected, atol=1e-4)


def test_other_images_are_refused() -> None:
    found = {"one": {"train": [0, 1], "test": [0]}, "other": {"train": [0, 1], "test": [1]}}
    with pytest.raises(click.ClickException, match="expected other: the same test images as the others"):
        features.same_targets(found)


def test_mirrored_images_are_left_out_where_the_kit_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    mirrored = NETWORK._replace(mirror=True)
    monkeypatch.setattr(features, "fields", lambda _: [])
    assert features.possible([NETWORK, mirrored, BY_HAND]) == [NETWORK, BY_HAND]
    assert str(mirrored) == "ours, efficientnet_lite0, mirror"

"""What an unfinished and a finished fit must have in common with the command that resumes it."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from trainer import Checkpoint, CheckpointError, ConfigError, Dataset, FitConfig, Split, fit
from trainer.data.features import Features
from trainer.provenance import pixel_statistics
from trainer.resuming import check_finished, check_same

CONFIG = FitConfig(solver="sgd", epochs=2, batch_size=32, device="cpu")
ANEW = "train anew without --resume, or from its weights with --from runs/tiny$"


def changed(data: Dataset) -> dict[str, Dataset]:
    """The same data set but for one thing, which nothing but this tells."""
    train = data.train
    pixel = train.images[:].clone()
    pixel[0, 0, 0, 0] ^= 1
    return {
        "a pixel": dataclasses.replace(data, train=Split(pixel, train.targets)),
        "fewer test images": dataclasses.replace(data, test=Split(data.test.images[:9], data.test.targets[:9])),
        "labels": dataclasses.replace(data, labels=("dark", "middle", "bright ")),
        "order of labels": dataclasses.replace(data, labels=data.labels[::-1]),
        "name": dataclasses.replace(data, name="other"),
        "fit": dataclasses.replace(data, image=dataclasses.replace(data.contract, fit="crop")),
    }


NAMES = ("a pixel", "fewer test images", "labels", "order of labels", "name", "fit")


@pytest.fixture
def finished(tiny: Dataset) -> Checkpoint:
    return fit(tiny, CONFIG).checkpoint


def settings(**other: Any) -> dict[str, Any]:
    return dataclasses.asdict(CONFIG) | {"shuffle_window": 10_800} | other


def test_the_same(tiny: Dataset, finished: Checkpoint) -> None:
    check_same(finished, settings(), tiny, pixel_statistics(tiny.train.images))
    check_finished(finished, {}, tiny, "runs/tiny")
    check_finished(finished, {"epochs": 2, "lr": 0.03, "device": "cpu", "weight_decay": None}, tiny, "runs/tiny")


@pytest.mark.parametrize(
    ("other", "then", "now"),
    [
        ({"lr": 0.5}, r"0\.03", r"0\.5"),
        ({"epochs": 3}, "2", "3"),
        ({"solver": "lbfgs"}, "'sgd'", "'lbfgs'"),
        ({"new": 1}, "none", "1"),
    ],
)
def test_other_settings(tiny: Dataset, finished: Checkpoint, other: dict[str, Any], then: str, now: str) -> None:
    (name,) = other
    with pytest.raises(
        ConfigError, match=f"^{name}: expected {then}, as in the finished run runs/tiny, found {now}: {ANEW}"
    ):
        check_finished(finished, other, tiny, "runs/tiny")
    with pytest.raises(
        ConfigError, match=f"^{name}: expected {then}, as when this fit began, found {now}: resume with"
    ):
        check_same(finished, settings(**other), tiny, pixel_statistics(tiny.train.images))


@pytest.mark.parametrize("name", NAMES)
def test_other_images(tiny: Dataset, finished: Checkpoint, name: str) -> None:
    data = changed(tiny)[name]
    with pytest.raises(ConfigError, match=f"^expected the images of the finished run runs/tiny, found others: {ANEW}"):
        check_finished(finished, {}, data, "runs/tiny")
    with pytest.raises(ConfigError, match=r"^expected the images that this fit began with, found others: resume with"):
        check_same(finished, settings(), data, pixel_statistics(data.train.images))


def test_other_features(tiny: Dataset, finished: Checkpoint) -> None:
    graph = Features("net", 4, np.array([1], np.uint8), {})
    with pytest.raises(ConfigError, match="expected the images of the finished run"):
        check_finished(dataclasses.replace(finished, features=graph), {}, tiny, "runs/tiny")


def test_images_that_were_held_out(digits: Dataset) -> None:
    """The statistics are of those that are left, by the share and the seed of the finished run."""
    config = FitConfig(solver="sgd", epochs=1, val_fraction=0.25, seed=4, device="cpu")
    checkpoint = fit(digits, config).checkpoint
    check_finished(checkpoint, {"seed": 4}, digits, "runs/digits")
    settings = checkpoint.provenance["settings"] | {"seed": 5}
    other = dataclasses.replace(checkpoint, provenance={**checkpoint.provenance, "settings": settings})
    with pytest.raises(ConfigError, match="expected the images of the finished run"):
        check_finished(other, {}, digits, "runs/digits")


@pytest.mark.parametrize(
    "provenance",
    [
        {},
        {"settings": None},
        {"settings": {}},
        {"settings": {"val_fraction": "half", "seed": 0}},
        {"settings": {"val_fraction": 0.5, "seed": -1}},
        {"settings": {"val_fraction": 0, "seed": 0}},
    ],
)
@pytest.mark.parametrize("given", [{}, {"lr": 0.03}])
def test_a_finished_run_of_something_else(
    tiny: Dataset, finished: Checkpoint, provenance: dict[str, Any], given: dict[str, Any]
) -> None:
    """One that `kit train` has not made, or of which the description was changed."""
    other = dataclasses.replace(finished, provenance=provenance)
    with pytest.raises((CheckpointError, ConfigError)) as caught:
        check_finished(other, given, tiny, "runs/tiny")
    assert "train anew without --resume" in str(caught.value)

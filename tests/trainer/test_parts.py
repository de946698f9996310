"""Which images are held out: how many, of all classes, the same ones again."""

import numpy as np
import pytest
import torch

from trainer import ConfigError, Dataset, FitConfig, Split
from trainer.parts import FEWEST, FROM, held_out_count, parts_of, settled


def dataset(counts: list[int], side: int = 2) -> Dataset:
    """Images of classes, so many of each; each image is the number of its row."""
    targets = torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
    images = torch.arange(len(targets) * side * side).to(torch.uint8).reshape(-1, side, side, 1)
    split = Split(images, targets)
    return Dataset(name="some", labels=tuple(f"c{k}" for k in range(len(counts))), train=split, test=split)


@pytest.mark.parametrize(
    ("images", "config", "expected"),
    [
        (FROM, FitConfig(), True),
        (FROM - 1, FitConfig(), False),
        (FROM, FitConfig(calibrate=False), False),
        (90, FitConfig(calibrate=True), True),
        (90, FitConfig(max_error=0.3), True),
        (90, FitConfig(max_miss={"c0": 0.3}), True),
    ],
)
def test_by_default_from_1000_images_on(images: int, config: FitConfig, expected: bool) -> None:
    assert settled(config, dataset([images // 2, images - images // 2])).calibrate is expected


def test_what_does_not_go_together() -> None:
    for more in ({"max_error": 0.1}, {"max_miss": {"c0": 0.1}}, {"familiarity": True}):
        with pytest.raises(ConfigError, match="calibrate: expected True for thresholds and familiarity, found False"):
            FitConfig(calibrate=False, **more)
    for more, name in (({"max_error": 1.0}, "max_error"), ({"max_miss": {"c0": 0.0}}, "max_miss")):
        with pytest.raises(ConfigError, match=f"{name}: expected above 0 and below 1"):
            FitConfig(**more)
    with pytest.raises(ConfigError, match="max_miss: expected a label out of c0, c1, found 'c2'"):
        settled(FitConfig(max_miss={"c2": 0.1}), dataset([50, 50]))


def test_familiarity_is_refused_before_the_fit() -> None:
    message = "familiarity: expected images of at least 6 × 6 pixels, found 2 × 2: leave out --familiarity, or raise"
    with pytest.raises(ConfigError, match=message):
        settled(FitConfig(familiarity=True), dataset([600, 600]))
    message = "familiarity: expected at least 99 training images to hold out, found 90, three tenths of all"
    with pytest.raises(ConfigError, match=message):
        settled(FitConfig(familiarity=True), dataset([150, 150], side=8))


@pytest.mark.parametrize(
    ("counts", "config", "expected"),
    [
        ([600, 600], FitConfig(calibrate=True), 120),
        ([60, 60], FitConfig(calibrate=True), FEWEST),
        ([40_000, 40_000], FitConfig(calibrate=True), 5000),
        ([600, 600], FitConfig(calibrate=True, familiarity=True), 150),
        ([600, 600], FitConfig(calibrate=True, max_error=0.05), 266),  # 3 · 59 measure, and half as many calibrate
        ([600, 600], FitConfig(calibrate=True, max_error=0.001), 360),  # three tenths
    ],
)
def test_how_many(counts: list[int], config: FitConfig, expected: int) -> None:
    data = dataset(counts)
    assert held_out_count(data, config) == expected
    parts = parts_of(data, config)
    assert parts.held_out is not None
    assert len(parts.held_out) == expected
    assert len(parts.train) == sum(counts) - expected


def test_of_all_classes_alike_and_the_same_again() -> None:
    data, config = dataset([400, 200, 600]), FitConfig(calibrate=True, seed=3)
    one, other = parts_of(data, config), parts_of(data, config)
    assert one.held_out is not None
    assert other.held_out is not None
    assert one.held_out.targets.bincount().tolist() == [40, 20, 60]
    assert torch.equal(one.held_out.images[:], other.held_out.images[:])
    third = parts_of(data, FitConfig(calibrate=True, seed=4)).held_out
    assert third is not None
    assert not torch.equal(one.held_out.images[:], third.images[:])


def test_each_image_is_in_one_part() -> None:
    targets = torch.arange(1200) % 3
    images = torch.arange(1200 * 2).reshape(1200, 2, 1, 1).remainder(256).to(torch.uint8)
    images[:, 1, 0, 0] = (torch.arange(1200) // 256).to(torch.uint8)
    images[:, 0, 0, 0] = (torch.arange(1200) % 256).to(torch.uint8)
    data = Dataset(name="x", labels=("a", "b", "c"), train=Split(images, targets), test=Split(images, targets))
    parts = parts_of(data, FitConfig(calibrate=True, val_fraction=0.2))
    found = [
        (part.images[:].to(torch.int64) * torch.tensor([1, 256])[None, :, None, None]).sum((1, 2, 3))
        for part in parts
        if part is not None
    ]
    assert torch.cat(found).sort().values.tolist() == list(range(1200))
    assert len(found) == 3


def test_two_images_of_each_class_are_left() -> None:
    parts = parts_of(dataset([1000, 3, 2, 2]), FitConfig(calibrate=True))
    assert parts.train.targets.bincount().tolist()[1:] == [3 if parts.train.targets.bincount()[1] == 3 else 2, 2, 2]
    assert parts.held_out is not None
    assert parts.held_out.targets.max() <= 1


def test_classes_of_two_images_alone_leave_nothing_to_hold_out() -> None:
    parts = parts_of(dataset([2] * 30), FitConfig(calibrate=True))
    assert parts.held_out is None
    assert len(parts.train) == 60

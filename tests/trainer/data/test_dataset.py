"""Splits and data sets: of what they are made, how they are split, and what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.model_selection import train_test_split

from trainer import DataError, Dataset, Split
from trainer.data.dataset import as_dataset, hold_out, of_parts
from trainer.data.mapped import MappedImages

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 4, 3), np.uint8)
TARGETS = np.arange(50) % 2


def test_arrays_are_not_copied() -> None:
    split = Split.of(IMAGES, TARGETS.astype(np.uint8))
    assert isinstance(split.images, torch.Tensor)
    assert np.shares_memory(split.images.numpy(), IMAGES)
    assert (split.images.shape, split.targets.dtype, split.dimension, len(split)) == (
        (50, 4, 3, 1),
        torch.int64,
        12,
        50,
    )
    with pytest.raises(DataError, match="expected integer classes, found float64"):
        Split.of(IMAGES, TARGETS / 1)


def test_a_subset_of_mapped_images_copies_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", IMAGES)
    split = Split.of(np.load(tmp_path / "images.npy", mmap_mode="r"), TARGETS)
    part = split.subset(torch.tensor([4, 1]))
    assert isinstance(part.images, MappedImages)
    np.testing.assert_array_equal(part.images.numpy()[..., 0], IMAGES[[4, 1]])
    assert part.targets.tolist() == [0, 1]


def test_held_out_images_are_those_of_scikit_learn() -> None:
    expected = train_test_split(np.arange(50), test_size=0.2, stratify=TARGETS, random_state=3)
    for found, rows in zip(hold_out(Split.of(IMAGES, TARGETS), 0.2, "ab", seed=3, name="own"), expected, strict=True):
        np.testing.assert_array_equal(found.images.numpy()[..., 0], IMAGES[np.sort(rows)])
        assert found.targets.tolist() == TARGETS[np.sort(rows)].tolist()


def test_arrays_become_a_data_set(tiny: Dataset) -> None:
    data = as_dataset((IMAGES, TARGETS), seed=0)
    assert (data.name, data.labels, len(data.train), len(data.test)) == ("arrays", ("0", "1"), 40, 10)
    assert as_dataset(tiny, seed=0) is tiny


def test_parts_lie_one_after_the_other() -> None:
    data = of_parts("own", ["a", "b"], IMAGES, {"train": TARGETS[:30], "test": TARGETS[30:]}, seed=0)
    for split, rows in ((data.train, slice(30)), (data.test, slice(30, None))):
        np.testing.assert_array_equal(split.images.numpy()[..., 0], IMAGES[rows])
        assert split.targets.tolist() == TARGETS[rows].tolist()


def split(images: object = (4, 3, 2, 1), targets: object = (0, 1, 0, 1)) -> Split:
    return Split(
        torch.zeros(images, dtype=torch.uint8) if isinstance(images, tuple) else images,  # type: ignore[arg-type]
        torch.tensor(targets) if isinstance(targets, tuple) else targets,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (split(torch.zeros(4, 3, 2, 1)), split(), "own: training images: expected uint8 [N, H, W, 1] or [N, H, W, 3] "
         "with none of them 0, found float32 [4, 3, 2, 1]"),
        (split((4, 3, 2)), split(), "found uint8 [4, 3, 2]"),
        (split((4, 3, 2, 4)), split(), "found uint8 [4, 3, 2, 4]"),
        (split(), split((0, 3, 2, 1), ()), "own: test images: expected"),
        (split(), split((5, 3, 2, 1)), "own: test targets: expected int64 [5], one an image, found int64 [4]"),
        (split(targets=torch.zeros(4)), split(), "found float32 [4]"),
        (split(targets=(0, 1, 2, 0)), split(), "expected 0 to 1, one of the labels, found 0 to 2"),
        (split(targets=(0, -1, 1, 0)), split(), "expected 0 to 1, one of the labels, found -1 to 1"),
        (split(), split((4, 2, 3, 1)), "expected test images of the training images' shape 3 × 2 × 1, found 2 × 3 × 1"),
    ],
)  # fmt: skip
def test_data_that_is_not_fit_to_train_on(train: Split, test: Split, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        Dataset(name="own", labels=("a", "b"), train=train, test=test)


@pytest.mark.parametrize("labels", [("a",), ("a", "a"), ("a", "")])
def test_labels_that_are_not_different_names(labels: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="own: expected at least 2 different, non-empty labels, found"):
        Dataset(name="own", labels=labels, train=split(), test=split())

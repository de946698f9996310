"""Data sets: a training and a test split of images with targets, and labels."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from runtime.data import split
from runtime.data.labelled import check_counts
from runtime.data.split import TEST_SHARE
from runtime.errors import DataError as ReadingError
from runtime.image import ImageContract

from ..errors import DataError
from .features import Features
from .mapped import Images, MappedImages

Arrays: TypeAlias = "Tensor | NDArray[Any]"


@dataclass(frozen=True)
class Split:
    """Images with their targets.

    images: uint8 [N, H, W, C], a tensor, or `MappedImages` of a file, which offer the same index, slice, `split`,
        `numpy` and `to`.
    targets: int64 [N], indices into the data set's labels.
    features: what a frozen graph makes of them, float32 [N · copies, 1, 1, D], those of the images first; None where
        the regression is on the pixels.
    copies: 2 where features of the mirror images follow, in the same order; else 1.
    """

    images: Images
    targets: Tensor
    features: Images | None = None
    copies: int = 1

    @classmethod
    def of(cls, images: Arrays, targets: Arrays) -> "Split":
        """Take arrays or tensors as they are at hand: uint8 images [N, H, W] or [N, H, W, C], any integer classes [N].

        The images are not copied; those of an array that is mapped from a file become `MappedImages`.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # it is only read
            targets = torch.as_tensor(targets)
            if isinstance(images, np.memmap) and images.dtype == np.uint8 and images.ndim in (3, 4):
                return cls(MappedImages(images), _integers(targets))
            images = torch.as_tensor(images)
        return cls(images[..., None] if images.ndim == 3 else images, _integers(targets))

    def subset(self, rows: Tensor) -> "Split":
        """Choose the images at `rows`, int64 [n]; those in memory are copied."""
        features = None if self.features is None else _subset(self.features, self.with_copies(rows))
        return Split(_subset(self.images, rows), self.targets[rows], features, self.copies)

    def with_copies(self, rows: Tensor) -> Tensor:
        """Rows of the features of these images, int64 [n] → int64 [n · copies]."""
        count = len(self) // self.copies if self.features is None else len(self)
        return torch.cat([rows + count * copy for copy in range(self.copies)])

    @property
    def unmirrored(self) -> "Split":
        """The same images without features of mirror images."""
        if self.copies == 1 or self.features is None:
            return self
        return replace(self, features=_subset(self.features, torch.arange(len(self))), copies=1)

    @property
    def inputs(self) -> "Split":
        """What the regression is fitted to, in place of images: the features, or the images themselves.

        With features of mirror images it has so many times the images.
        """
        if self.features is None:
            return self
        return Split(self.features, self.targets.repeat(self.copies), copies=self.copies)

    @property
    def dimension(self) -> int:
        """Numbers that the regression sees of an image, D."""
        return self.inputs.images.shape[1:].numel()

    def __len__(self) -> int:
        return len(self.targets)


def _subset(images: Images, rows: Tensor) -> Images:
    return images.subset(rows) if isinstance(images, MappedImages) else images[rows]


def _integers(targets: Tensor) -> Tensor:
    if targets.is_floating_point():
        raise DataError(
            f"expected integer classes, found {_dtype(targets)}: pass each image's class as a number from 0"
        )
    return targets.to(torch.int64)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set ready to train on.

    name: for the model card and the run's folder.
    labels: K class names, in the order of the targets.
    val: validation images of its own, if it has any.
    image: how they were brought to their size; None where they are used as they are.
    features: the frozen graph whose output the splits' features are; None where the regression is on the pixels.
    Raises DataError where it is not fit to train on.
    """

    name: str
    labels: tuple[str, ...]
    train: Split
    test: Split
    val: Split | None = None
    image: ImageContract | None = None
    features: Features | None = None

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels) or not all(self.labels):
            raise DataError(f"{self.name}: expected at least 2 different, non-empty labels, found {self.labels!r}")
        for name, part in (("training", self.train), ("validation", self.val), ("test", self.test)):
            if part is None:
                continue
            _check_split(f"{self.name}: {name}", part, len(self.labels))
            if self.train.images.shape[1:] != part.images.shape[1:]:
                raise DataError(
                    f"{self.name}: expected {name} images of the training images' shape {_shape(self.train.images)}, "
                    f"found {_shape(part.images)}"
                )
        if self.image and self.image.shape != self.train.images.shape[1:]:
            sides = " × ".join(map(str, self.image.shape))
            raise DataError(f"{self.name}: expected images of {sides}, found {_shape(self.train.images)}")

    @property
    def contract(self) -> ImageContract:
        """What an image must become to be like these."""
        _, height, width, channels = self.train.images.shape
        return self.image or ImageContract(height=height, width=width, color="L" if channels == 1 else "RGB")


def as_dataset(data: Dataset | tuple[Arrays, Arrays], *, seed: int) -> Dataset:
    """Make a data set of a pair of arrays, with a fifth of each class held out as the test split. Raises DataError."""
    if isinstance(data, Dataset):
        return data
    split = Split.of(*data)
    labels = tuple(str(target) for target in range(int(split.targets.max()) + 1 if len(split) else 0))
    _check_split("arrays: training", split, len(labels))
    return of_parts("arrays", labels, data[0], {"train": split.targets.numpy()}, seed=seed)


def of_parts(
    name: str,
    labels: Sequence[str],
    images: Arrays,
    targets: Mapping[str, NDArray[np.int64]],
    *,
    seed: int,
    image: ImageContract | None = None,
) -> Dataset:
    """Make a data set of its parts; where there is no test part, a fifth of each training class is held out.

    images: uint8 [N, H, W, C], of all parts, one after the other.
    targets: int64 [n], of each part: "train", and "val" and "test" if there are any.
    seed: random seed of the test split.
    image: as of `Dataset`.
    Raises DataError.
    """
    parts: dict[str, Any] = {}
    start = 0
    for part, of_part in targets.items():
        parts[part] = Split.of(images[start : start + len(of_part)], of_part)
        start += len(of_part)
    if "test" not in parts:
        parts["train"], parts["test"] = hold_out(parts["train"], TEST_SHARE, labels, seed=seed, name=name)
    return Dataset(name=name, labels=tuple(labels), image=image, **parts)


def hold_out(whole: Split, share: float, labels: Sequence[str], *, seed: int, name: str) -> tuple[Split, Split]:
    """Split at random, a share of each class into the second part, both in the images' order.

    share: of the second part, 0-1.
    labels: K class names.
    seed: random seed.
    name: of the data set, for messages.
    Raises DataError where a class has fewer than two images.
    """
    targets = whole.targets.numpy()
    present, places = np.unique(targets, return_inverse=True)
    try:
        check_counts(name, [labels[target] for target in present], places, 2)
    except ReadingError as error:
        raise DataError(str(error)) from None
    kept, held = (torch.from_numpy(rows) for rows in split.hold_out(targets, share, seed=seed))
    return whole.subset(kept), whole.subset(held)


def _check_split(name: str, split: Split, classes: int) -> None:
    images, targets = split.images, split.targets
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise DataError(
            f"{name} images: expected uint8 [N, H, W, 1] or [N, H, W, 3] with none of them 0, "
            f"found {_dtype(images)} {list(images.shape)}"
        )
    if targets.dtype != torch.int64 or targets.shape != images.shape[:1]:
        raise DataError(
            f"{name} targets: expected int64 [{len(images)}], one an image, "
            f"found {_dtype(targets)} {list(targets.shape)}"
        )
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= classes:
        raise DataError(f"{name} targets: expected 0 to {classes - 1}, one of the labels, found {low} to {high}")


def _dtype(tensor: Images) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _shape(images: Images) -> str:
    return " × ".join(str(side) for side in images.shape[1:])

"""Data sets as two uint8 tensors each, training and test, whole in memory."""

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from runtime.errors import needs_extra
from runtime.image import ImageContract

from .errors import DataError

TORCHVISION = {"fashion-mnist": "FashionMNIST", "kmnist": "KMNIST", "mnist": "MNIST"}
DEFAULT_DATA_DIR = "data"
DIGITS_TEST_SHARE = 0.2


@dataclass(frozen=True)
class Split:
    """Images with their classes. images: uint8 [N, H, W, C]. targets: int64 [N], indices into the data set's labels."""

    images: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set ready to train on. labels: K class names, in the order of the targets. Raises DataError if unfit."""

    name: str
    labels: tuple[str, ...]
    train: Split
    test: Split

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels) or not all(self.labels):
            raise DataError(f"{self.name}: expected at least 2 different, non-empty labels, found {self.labels!r}")
        for name, split in (("training", self.train), ("test", self.test)):
            _check_split(f"{self.name}: {name}", split, len(self.labels))
        if self.train.images.shape[1:] != self.test.images.shape[1:]:
            raise DataError(
                f"{self.name}: expected test images of the training images' shape {_shape(self.train.images)}, "
                f"found {_shape(self.test.images)}"
            )

    @property
    def contract(self) -> ImageContract:
        """What an image must become to be like these."""
        _, height, width, channels = self.train.images.shape
        return ImageContract(height=height, width=width, color="L" if channels == 1 else "RGB")


def load_data(name: str = "fashion-mnist", *, data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """Load a data set by name: "fashion-mnist", "mnist" or "kmnist" through torchvision, or "digits".

    data_dir: where torchvision's files lie, or are downloaded to; by default KIT_DATA_DIR from the environment, else
    ./data. "digits" comes with scikit-learn and needs no folder. Raises DataError.
    """
    if name in TORCHVISION:
        return _torchvision(name, Path(data_dir or os.environ.get("KIT_DATA_DIR") or DEFAULT_DATA_DIR))
    if name == "digits":
        return _digits()
    raise DataError(f"expected one of {', '.join(NAMES)}, found {name!r}: pass one of these as --data")


NAMES = (*TORCHVISION, "digits")


def _torchvision(name: str, root: Path) -> Dataset:
    with needs_extra("train", f"the data set {name}"):
        try:
            from torchvision import datasets
        except RuntimeError as error:
            raise DataError(
                f"expected a matching pair of torch and torchvision, found torch {torch.__version__} and a torchvision "
                f"made for another ({error}): pip install --upgrade torch torchvision, or use --data digits"
            ) from None
    factory = getattr(datasets, TORCHVISION[name])
    train, test = (_open(name, factory, root, train=train) for train in (True, False))
    return Dataset(name=name, labels=tuple(train.classes), train=_split(train), test=_split(test))


def _open(name: str, factory: Any, root: Path, *, train: bool) -> Any:
    """Open one half of a torchvision data set, downloading it where it is not there yet."""
    try:
        try:
            return factory(root, train=train, download=False)
        except RuntimeError as error:
            if "not found" not in str(error):
                raise
        print(f"{name}: not in {root}, downloading it there", file=sys.stderr)
        return _download(factory, root, train=train)
    except Exception as error:  # torchvision's readers raise whatever the damage leads them to
        raw = root / TORCHVISION[name] / "raw"
        files = ", ".join(Path(file).stem for file, _ in factory.resources)
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{name}: expected the files {files} whole in {raw}, and could neither read nor download them ({reason}): "
            "copy them there, name their folder with --data-dir or KIT_DATA_DIR, or use --data digits, "
            "which needs no files"
        ) from None


def _download(factory: Any, root: Path, *, train: bool) -> Any:
    """Let torchvision download; where it fails, remove the folders that it made and left empty."""
    raw = root / factory.__name__ / "raw"
    missing = [folder for folder in (raw, raw.parent, root) if not folder.exists()]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return factory(root, train=train, download=True)
    except Exception:
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _split(dataset: Any) -> Split:
    images, targets = torch.as_tensor(dataset.data), torch.as_tensor(dataset.targets, dtype=torch.int64)
    return Split(images[..., None] if images.ndim == 3 else images, targets)


def _digits() -> Dataset:
    """scikit-learn's 1,797 handwritten digits, 8 × 8, a fifth of each class held out as the test split."""
    with needs_extra("train", "the data set digits"):
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    targets = digits.target.astype(np.int64)
    halves = train_test_split(images, targets, test_size=DIGITS_TEST_SHARE, stratify=targets, random_state=0)
    train_images, test_images, train_targets, test_targets = map(torch.from_numpy, halves)
    return Dataset(
        name="digits",
        labels=tuple(str(label) for label in digits.target_names),
        train=Split(train_images, train_targets),
        test=Split(test_images, test_targets),
    )


def _check_split(name: str, split: Split, classes: int) -> None:
    images, targets = split.images, split.targets
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise DataError(
            f"{name} images: expected uint8 [N, H, W, 1] or [N, H, W, 3] with none of them 0, "
            f"found {str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
        )
    if targets.dtype != torch.int64 or targets.shape != images.shape[:1]:
        raise DataError(
            f"{name} targets: expected int64 [{len(images)}], one an image, "
            f"found {str(targets.dtype).removeprefix('torch.')} {list(targets.shape)}"
        )
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= classes:
        raise DataError(f"{name} targets: expected 0 to {classes - 1}, one of the labels, found {low} to {high}")


def _shape(images: Tensor) -> str:
    return " × ".join(str(side) for side in images.shape[1:])

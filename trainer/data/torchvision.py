"""Data sets in torchvision's layout: IDX files are read here, everything else by torchvision, which also downloads."""

import contextlib
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch

from runtime.data.idx import read_idx
from runtime.errors import DataError as ReadingError
from runtime.errors import needs_extra
from runtime.text import note, one_line

from ..errors import DataError
from .dataset import Dataset, Split

IDX_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CIFAR_FILES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")


class Known(NamedTuple):
    """A data set of torchvision's.

    factory: name of its class in torchvision.datasets.
    folder: where its files lie, below the data folder.
    labels: class names of a data set of IDX files; empty for others.
    """

    factory: str
    folder: str
    labels: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Names of its files."""
        return IDX_FILES if self.labels else CIFAR_FILES


KNOWN = {
    "fashion-mnist": Known("FashionMNIST", "FashionMNIST/raw", ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                           "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")),
    "mnist": Known("MNIST", "MNIST/raw", ("0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five",
                   "6 - six", "7 - seven", "8 - eight", "9 - nine")),
    "kmnist": Known("KMNIST", "KMNIST/raw", ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")),
    "cifar10": Known("CIFAR10", "cifar-10-batches-py"),
}  # fmt: skip


def load_known(name: str, root: Path) -> Dataset:
    """Load a data set of `KNOWN` from its files under `root`, downloading what is missing. Raises DataError."""
    known = KNOWN[name]
    if known.labels:
        with contextlib.suppress(OSError, ReadingError):  # torchvision says what is wrong with them
            images, targets, test_images, test_targets = (read_idx(root / known.folder / file) for file in IDX_FILES)
            train, test = Split.of(images, targets), Split.of(test_images, test_targets)
            return Dataset(name=name, labels=known.labels, train=train, test=test)
    return _by_torchvision(name, known, root)


def _by_torchvision(name: str, known: Known, root: Path) -> Dataset:
    with needs_extra("train", f"the data set {name}"):
        try:
            from torchvision import datasets
        except RuntimeError as error:
            raise DataError(
                f"expected a matching pair of torch and torchvision, found torch {torch.__version__} and a torchvision "
                f"made for another ({error}): pip install --upgrade torch torchvision, or use --data digits"
            ) from None
    factory = getattr(datasets, known.factory)
    halves = [_open(name, known, factory, root, train=train) for train in (True, False)]
    train, test = (Split.of(half.data, half.targets) for half in halves)
    return Dataset(name=name, labels=tuple(halves[0].classes), train=train, test=test)


def _open(name: str, known: Known, factory: Any, root: Path, *, train: bool) -> Any:
    """Open one half of a torchvision data set, downloading it where it is not there yet."""
    try:
        try:
            return factory(root, train=train, download=False)
        except RuntimeError as error:
            if "not found" not in str(error):
                raise
        note(f"{name}: not in {root}, downloading it there")
        return _download(factory, root, root / known.folder, train=train)
    except Exception as error:  # torchvision's readers raise whatever the damage leads them to
        raise DataError(
            f"{name}: expected the files {', '.join(known.files)} whole in {root / known.folder}, and could neither "
            f"read nor download them ({one_line(error)}): copy them there, name their folder with --data-dir or "
            "KIT_DATA_DIR, or use --data digits, which needs no files"
        ) from None


def _download(factory: Any, root: Path, files: Path, *, train: bool) -> Any:
    """Let torchvision download; where it fails, remove the folders that it made and left empty."""
    missing = [folder for folder in (files, files.parent, root) if not folder.exists()]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return factory(root, train=train, download=True)
    except Exception:
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise

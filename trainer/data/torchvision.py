"""Data sets of a name: `runtime.data.known` reads them; torchvision downloads them, and says what is wrong."""

import contextlib
import sys
from pathlib import Path
from typing import Any

import torch

from runtime.data.known import KNOWN, Known, read_known
from runtime.errors import DataError as ReadingError
from runtime.errors import needs_extra
from runtime.text import note, one_line

from ..errors import DataError
from .dataset import Dataset, Split

FACTORIES = {"fashion-mnist": "FashionMNIST", "mnist": "MNIST", "kmnist": "KMNIST", "cifar10": "CIFAR10"}


def load_known(name: str, root: Path) -> Dataset:
    """Load a data set of `NAMES` from its files under `root`, downloading what is missing. Raises DataError."""
    with contextlib.suppress(OSError, ReadingError):  # torchvision says what is wrong with them
        labels, parts = read_known(name, root)
        train, test = (Split.of(*parts[part]) for part in ("train", "test"))
        return Dataset(name=name, labels=labels, train=train, test=test)
    return _by_torchvision(name, KNOWN[name], root)


def _by_torchvision(name: str, known: Known, root: Path) -> Dataset:
    with needs_extra("train", f"the data set {name}"):
        try:
            from torchvision import datasets
        except RuntimeError as error:
            raise DataError(
                f"expected a matching pair of torch and torchvision, found torch {torch.__version__} and a torchvision "
                f"made for another ({error}): pip install --upgrade torch torchvision, or use --data digits"
            ) from None
    factory = getattr(datasets, FACTORIES[name])
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

"""Data sets that have a name: MNIST, its successors and CIFAR-10 in torchvision's layout, and scikit-learn's digits."""

import codecs
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, needs_extra
from ..image import Pixels
from .idx import read_idx
from .split import TEST_SHARE, hold_out

IDX_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CIFAR_FILES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")
MAX_BYTES = 2**26
reconstruct = np.empty(0).__reduce__()[0]
IN_PICKLES: dict[tuple[str, str], Any] = {  # all that CIFAR-10's files name, so that reading them runs no other code
    **{(f"numpy.{core}.multiarray", "_reconstruct"): reconstruct for core in ("core", "_core")},
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): codecs.encode,
}


class Known(NamedTuple):
    """A data set. folder: where its files lie, below the data folder. labels: of a data set of IDX files."""

    folder: str
    labels: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Names of its files."""
        return IDX_FILES if self.labels else CIFAR_FILES


class Arrays(NamedTuple):
    """A part. images: uint8 [N, H, W, C]. targets: int64 [N]."""

    images: Pixels
    targets: NDArray[np.int64]


KNOWN = {
    "fashion-mnist": Known("FashionMNIST/raw", ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal",
                           "Shirt", "Sneaker", "Bag", "Ankle boot")),
    "mnist": Known("MNIST/raw", ("0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six",
                   "7 - seven", "8 - eight", "9 - nine")),
    "kmnist": Known("KMNIST/raw", ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")),
    "cifar10": Known("cifar-10-batches-py"),
}  # fmt: skip

NAMES = (*KNOWN, "digits")


def read_known(name: str, root: Path) -> tuple[tuple[str, ...], dict[str, Arrays]]:
    """Read a data set of `NAMES`: labels, and the parts "train" and "test".

    root: folder of the files; digits has none.
    Raises DataError where they are damaged, OSError where they cannot be opened, and MissingExtraError.
    """
    if name == "digits":
        return _read_digits()
    known = KNOWN[name]
    folder = root / known.folder
    if not known.labels:
        return _read_cifar(folder)
    found = [read_idx(folder / file) for file in IDX_FILES]
    train, test = (Arrays(images[..., None], targets.astype(np.int64)) for images, targets in (found[:2], found[2:]))
    return known.labels, {"train": train, "test": test}


def _read_digits() -> tuple[tuple[str, ...], dict[str, Arrays]]:
    """scikit-learn's 1,797 handwritten digits, 8 × 8, a fifth of each class held out as the test part."""
    with needs_extra("train", "the data set digits"):
        from sklearn.datasets import load_digits
    digits = load_digits()
    images, targets = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None], digits.target.astype(np.int64)
    kept, held = hold_out(targets, TEST_SHARE, seed=0)
    parts = {"train": Arrays(images[kept], targets[kept]), "test": Arrays(images[held], targets[held])}
    return tuple(map(str, digits.target_names)), parts


def _read_cifar(folder: Path) -> tuple[tuple[str, ...], dict[str, Arrays]]:
    *train, test, about = (_unpickled(folder / name) for name in CIFAR_FILES)
    try:
        labels = tuple(map(str, about["label_names"]))
        parts = {}
        for part, batches in (("train", train), ("test", [test])):
            rows = np.concatenate([np.asarray(batch["data"], np.uint8) for batch in batches])
            images = rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)  # channels last
            parts[part] = Arrays(
                np.ascontiguousarray(images),
                np.concatenate([np.asarray(batch["labels"], np.int64) for batch in batches]),
            )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{folder}: expected CIFAR-10's files, found other content ({error}): fetch them again"
        ) from None
    return labels, parts


def _unpickled(path: Path) -> Any:
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path}: expected at most {MAX_BYTES >> 20} MB, found a larger file: fetch it again")
    try:
        with path.open("rb") as file:
            return _Unpickler(file, encoding="latin1").load()
    except OSError:
        raise
    except Exception as error:  # damage can lead it to raise anything
        raise DataError(f"{path}: expected a file of CIFAR-10, found other content ({error}): fetch it again") from None


class _Unpickler(pickle.Unpickler):
    """Refuses every name but those of arrays."""

    def find_class(self, module: str, name: str) -> Any:
        """Look up what a pickle names."""
        if (module, name) not in IN_PICKLES:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return IN_PICKLES[module, name]

"""Data sets as two uint8 tensors each, training and test, whole in memory."""

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from runtime.errors import needs_extra
from runtime.image import ImageContract
from runtime.text import printable

from ..errors import DataError
from .mapped import MappedImages, subset

IDX_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CIFAR_FILES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")
TORCHVISION = {
    "fashion-mnist": ("FashionMNIST", "FashionMNIST/raw", IDX_FILES),
    "mnist": ("MNIST", "MNIST/raw", IDX_FILES),
    "kmnist": ("KMNIST", "KMNIST/raw", IDX_FILES),
    "cifar10": ("CIFAR10", "cifar-10-batches-py", CIFAR_FILES),
}
NAMES = (*TORCHVISION, "digits")
FOLDER_SIZE = 32
DEFAULT_DATA_DIR = "data"
TEST_SHARE = 0.2


Arrays: TypeAlias = "Tensor | NDArray[Any]"


@dataclass(frozen=True)
class Split:
    """Images with their classes. images: uint8 [N, H, W, C]. targets: int64 [N], indices into the data set's labels.

    Images in a file are `MappedImages`, which can be read like a tensor: by index, slice, `split`, `numpy` and `to`.
    """

    images: Tensor
    targets: Tensor

    @classmethod
    def of(cls, images: Arrays, targets: Arrays) -> "Split":
        """Take arrays or tensors as they are at hand: uint8 images [N, H, W] or [N, H, W, C], any integer classes [N].

        The images are not copied; those of an array that is mapped from a file become `MappedImages`.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # it is only read
            targets = torch.as_tensor(targets)
            if isinstance(images, np.memmap) and images.dtype == np.uint8 and images.ndim in (3, 4):
                return cls(cast(Tensor, MappedImages(images)), _integers(targets))
            images = torch.as_tensor(images)
        return cls(images[..., None] if images.ndim == 3 else images, _integers(targets))

    def subset(self, rows: Tensor) -> "Split":
        """Choose the images at `rows`, int64 [n]; those in memory are copied."""
        return Split(cast(Tensor, subset(self.images, rows)), self.targets[rows])

    @property
    def features(self) -> int:
        """Pixel values of an image, D."""
        return self.images.shape[1:].numel()

    def __len__(self) -> int:
        return len(self.targets)


def _integers(targets: Tensor) -> Tensor:
    if targets.is_floating_point():
        raise DataError(
            f"expected integer classes, found {_dtype(targets)}: pass each image's class as a number from 0"
        )
    return targets.to(torch.int64)


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


def load_data(
    name: str | os.PathLike[str] = "fashion-mnist",
    *,
    data_dir: str | os.PathLike[str] | None = None,
    image_size: int | None = None,
    color: str | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Load a data set: one that has a name, a folder of images, or Parquet.

    name: "fashion-mnist", "mnist", "kmnist" or "cifar10" for torchvision's, "digits" for scikit-learn's, a folder as
    for `load_folder`, or a .parquet file, a folder of these or the URL of either as for `load_parquet`.

    data_dir: where torchvision's files lie, or are downloaded to; by default KIT_DATA_DIR from the environment, else
    ./data. "digits" comes with scikit-learn and needs no files. image_size: side in pixels, and color: "L" or "RGB", to
    bring the images to; by default as they are, of a folder's images and Parquet's 32 and "RGB". seed: of the split of
    those that have no test images. progress: called with the images decoded and their number. Raises DataError.
    """
    if name in TORCHVISION:
        root = Path(data_dir or os.environ.get("KIT_DATA_DIR") or DEFAULT_DATA_DIR)
        return _conform(_torchvision(str(name), root), image_size, color)
    if name == "digits":
        return _conform(_digits(), image_size, color)
    settings: dict[str, Any] = {
        "image_size": image_size or FOLDER_SIZE,
        "color": color or "RGB",
        "seed": seed,
        "progress": progress,
    }
    from .parquet import is_parquet_data, load_parquet

    if is_parquet_data(os.fspath(name)):
        return load_parquet(os.fspath(name), **settings)
    if not os.path.isdir(name):  # noqa: PTH112 - Path raises for a name that is too long
        raise DataError(f"expected one of {', '.join(NAMES)}, a folder of images or Parquet, found {str(name)!r}")
    from .folder import load_folder

    return load_folder(Path(name), **settings)


def as_dataset(data: Dataset | tuple[Arrays, Arrays], *, seed: int) -> Dataset:
    """Make a data set of a pair of arrays, with a fifth of each class held out as the test split. Raises DataError."""
    if isinstance(data, Dataset):
        return data
    split = Split.of(*data)
    labels = tuple(str(target) for target in range(int(split.targets.max()) + 1 if len(split) else 0))
    _check_split("arrays: training", split, len(labels))
    return of_parts("arrays", labels, data[0], [split.targets.numpy()], seed=seed)


def of_parts(
    name: str, labels: Sequence[str], images: Arrays, targets: Sequence[NDArray[np.int64]], *, seed: int
) -> Dataset:
    """Make a data set of a training and a test part, or of one alone, of which a fifth of each class is held out.

    images: uint8 [N, H, W, C], of all parts, one after the other. targets: of each part, int64 [n]. Raises DataError.
    """
    count = len(targets[0])
    train = Split.of(images[:count], targets[0])
    if len(targets) == 1:
        train, test = hold_out(train, TEST_SHARE, seed=seed, name=name)
    else:
        test = Split.of(images[count:], targets[1])
    return Dataset(name=name, labels=tuple(labels), train=train, test=test)


def hold_out(split: Split, share: float, *, seed: int, name: str) -> tuple[Split, Split]:
    """Split at random, the same share (0-1) of each class into the second part. Raises DataError for too few images."""
    with needs_extra("train", "splitting a data set"):
        from sklearn.model_selection import train_test_split
    targets = split.targets.numpy()
    try:
        parts = train_test_split(np.arange(len(split)), test_size=share, stratify=targets, random_state=seed % 2**32)
    except ValueError as error:
        raise DataError(
            f"{name}: expected enough images of each class to hold out {share:g} of them ({error})"
        ) from None
    kept, held = (torch.from_numpy(np.sort(part)) for part in parts)
    return split.subset(kept), split.subset(held)


def _torchvision(name: str, root: Path) -> Dataset:
    with needs_extra("train", f"the data set {name}"):
        try:
            from torchvision import datasets
        except RuntimeError as error:
            raise DataError(
                f"expected a matching pair of torch and torchvision, found torch {torch.__version__} and a torchvision "
                f"made for another ({error}): pip install --upgrade torch torchvision, or use --data digits"
            ) from None
    factory = getattr(datasets, TORCHVISION[name][0])
    train, test = (_open(name, factory, root, train=train) for train in (True, False))
    return Dataset(
        name=name,
        labels=tuple(train.classes),
        train=Split.of(train.data, train.targets),
        test=Split.of(test.data, test.targets),
    )


def _open(name: str, factory: Any, root: Path, *, train: bool) -> Any:
    """Open one half of a torchvision data set, downloading it where it is not there yet."""
    try:
        try:
            return factory(root, train=train, download=False)
        except RuntimeError as error:
            if "not found" not in str(error):
                raise
        print(printable(f"{name}: not in {root}, downloading it there"), file=sys.stderr)
        return _download(factory, root, root / TORCHVISION[name][1], train=train)
    except Exception as error:  # torchvision's readers raise whatever the damage leads them to
        _, folder, files = TORCHVISION[name]
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{name}: expected the files {', '.join(files)} whole in {root / folder}, and could neither read nor "
            f"download them ({reason}): copy them there, name their folder with --data-dir or KIT_DATA_DIR, "
            "or use --data digits, which needs no files"
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


def _conform(data: Dataset, image_size: int | None, color: str | None) -> Dataset:
    """Bring the images to another size or colour, as the artefact will bring a user's."""
    have = data.contract
    contract = ImageContract(
        height=image_size or have.height, width=image_size or have.width, color=color or have.color
    )
    if contract == have:
        return data
    train, test = (
        Split.of(np.stack([contract.pixels(image) for image in half.images.numpy()]), half.targets)
        for half in (data.train, data.test)
    )
    return Dataset(name=data.name, labels=data.labels, train=train, test=test)


def _digits() -> Dataset:
    """scikit-learn's 1,797 handwritten digits, 8 × 8, a fifth of each class held out as the test split."""
    with needs_extra("train", "the data set digits"):
        from sklearn.datasets import load_digits
    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    return of_parts("digits", list(map(str, digits.target_names)), images, [digits.target], seed=0)


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


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _shape(images: Tensor) -> str:
    return " × ".join(str(side) for side in images.shape[1:])

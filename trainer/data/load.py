"""Loads a data set by its name: the one module that knows all sources, and imports each when it is asked for."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime import errors
from runtime.data.source import is_parquet_data
from runtime.errors import needs_extra
from runtime.image import MAX_SHIFT, ImageContract
from runtime.remarks import messages, tally
from runtime.text import note

from ..errors import DataError
from .dataset import Dataset, Split, of_parts
from .unreadable import MAX_UNREADABLE, report_unreadable

if TYPE_CHECKING:
    from runtime.data.source import LabelledSource

TORCHVISION = ("fashion-mnist", "mnist", "kmnist", "cifar10")
NAMES = (*TORCHVISION, "digits")
SIZE = 32  # of a folder's images and Parquet's, in pixels
DEFAULT_DATA_DIR = "data"


def load_data(
    name: str | os.PathLike[str] = "fashion-mnist",
    *,
    data_dir: str | os.PathLike[str] | None = None,
    image_size: int | None = None,
    color: str | None = None,
    contract: ImageContract | None = None,
    shift: int | None = None,
    max_unreadable: float = MAX_UNREADABLE,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Load a data set: one that has a name, a folder of images, or Parquet.

    Images of a folder or of Parquet that cannot be read are left out and listed on standard error, if they are few.
    Decoded images are kept in a cache. With a test part the images are mapped from it and can only be read: writing to
    them kills the process. Raises DataError, and InputError where image_size or color is out of range.

    name: "fashion-mnist", "mnist", "kmnist", "cifar10", "digits"; a folder as for `runtime.data.folder`; or a .parquet
        file, a folder of these or the URL of either, as for `runtime.data.labelled_parquet`.
    data_dir: folder of torchvision's files, which are downloaded to it; by default KIT_DATA_DIR from the environment,
        else ./data.
    image_size: height and width in pixels, and color: "L" or "RGB", to bring the images to; by default as they are; for
        folders and Parquet 32 and "RGB".
    contract: what to bring the images to, in place of image_size, color and shift.
    shift: bits that 16-bit pixels of a folder or of Parquet are shifted by to become 8-bit, 0 to 8; by default the
        smallest that clips no training image.
    max_unreadable: share of the images of a folder or of Parquet that may be unreadable, 0-1.
    seed: random seed of the test split, a fifth of each class, where there is no test part.
    progress: called with the number of images decoded so far, and of all.
    """
    if name == "digits":
        return _conform(_digits(), image_size, color, contract)
    if name in TORCHVISION:
        from .torchvision import load_known

        root = Path(data_dir or os.environ.get("KIT_DATA_DIR") or DEFAULT_DATA_DIR)
        return _conform(load_known(str(name), root), image_size, color, contract)
    size = SIZE if image_size is None else image_size
    fixed = contract is not None or shift is not None
    contract = contract or ImageContract(
        height=size, width=size, color=color or "RGB", shift=MAX_SHIFT if shift is None else shift
    )
    try:
        return _decoded(_labelled(name), contract, seed, fixed=fixed, progress=progress, max_unreadable=max_unreadable)
    except errors.DataError as error:  # the readers' own is no TrainerError
        raise DataError(str(error)) from None


def _labelled(name: str | os.PathLike[str]) -> "LabelledSource":
    if is_parquet_data(os.fspath(name)):
        from runtime.data.labelled_parquet import LabelledParquet

        return LabelledParquet(os.fspath(name))
    if not os.path.isdir(name):  # noqa: PTH112 - Path raises for a name that is too long
        raise DataError(f"expected one of {', '.join(NAMES)}, a folder of images or Parquet, found {str(name)!r}")
    from runtime.data.folder import LabelledFolder

    return LabelledFolder(Path(name))


def _decoded(source: "LabelledSource", contract: ImageContract, seed: int, *, fixed: bool, **settings: Any) -> Dataset:
    """Decode the images; fixed: whether the contract's shift was given and is not to be chosen."""
    from .cache import cached_images, default_cache_dir
    from .shift import choose_shift

    cached = cached_images(source.images, contract, cache_dir=default_cache_dir(), **settings)
    shift = contract.shift if fixed else choose_shift(source, cached.remarks)
    if shift != contract.shift:
        contract = replace(contract, shift=shift)
        cached = cached_images(source.images, contract, cache_dir=default_cache_dir(), **settings)
    if cached.unreadable:
        report_unreadable(source.name, cached.unreadable, len(source.images), cached.listing)
    for message in messages(tally(cached.remarks.values(), shift), len(cached.images), shift):
        note(f"{source.name}: {message}")
    return of_parts(
        source.name, source.labels, cached.images, source.targets(cached.unreadable), seed=seed, image=contract
    )


def _conform(data: Dataset, image_size: int | None, color: str | None, contract: ImageContract | None) -> Dataset:
    """Bring the images to another size or colour, as the artefact will bring a user's."""
    have = data.contract
    height, width = (have.height, have.width) if image_size is None else (image_size, image_size)
    contract = contract or ImageContract(height=height, width=width, color=color or have.color)
    if contract == have:
        return data
    train, test = (
        Split.of(np.stack([contract.pixels(image) for image in half.images.numpy()]), half.targets)
        for half in (data.train, data.test)
    )
    return Dataset(name=data.name, labels=data.labels, train=train, test=test, image=contract)


def _digits() -> Dataset:
    """scikit-learn's 1,797 handwritten digits, 8 × 8, a fifth of each class held out as the test split."""
    with needs_extra("train", "the data set digits"):
        from sklearn.datasets import load_digits
    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    return of_parts("digits", list(map(str, digits.target_names)), images, [digits.target], seed=0)

"""Loads a data set by its name or from where it lies."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from runtime import errors
from runtime.data.known import NAMES
from runtime.data.labelled import check_trainable, open_labelled
from runtime.image import ImageContract

from ..errors import DataError
from .dataset import Dataset, Split, of_parts

if TYPE_CHECKING:
    from runtime.data.source import LabelledSource

SIZE = 32  # of a folder's images, in pixels
DEFAULT_DATA_DIR = "data"


def load_data(
    name: str | os.PathLike[str] = "fashion-mnist",
    *,
    data_dir: str | os.PathLike[str] | None = None,
    image_size: int | None = None,
    color: str | None = None,
    fit: str | None = None,
    contract: ImageContract | None = None,
    column: str | None = None,
    label_column: str | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Load a data set: one that has a name, or a folder, an archive, a table or Parquet of images.

    Up to 1 % of the images may be unreadable: they are left out and listed on standard error. Decoded images are kept
    in a cache. With a test part the images are mapped from it and can only be read: writing to them kills the process.
    Raises DataError, and InputError where image_size, color or fit is out of range.

    name: "fashion-mnist", "mnist", "kmnist", "cifar10", "digits"; or a path, in any of the layouts of docs/data.md, or
        the URL of Parquet.
    data_dir: folder of torchvision's files, which are downloaded to it; by default KIT_DATA_DIR from the environment,
        else ./data.
    image_size, color, fit: height and width in pixels, "L" or "RGB", and "stretch", "crop" or "pad", to bring the
        images to; by default as they are, and 32, "RGB" and "stretch" for a path.
    contract: what to bring the images to, in place of these three.
    column, label_column: of a table or Parquet, with the images or their file names, and with the labels.
    seed: random seed of the test split, a fifth of each class, where there is no test part.
    progress: called with the number of images decoded so far, and of all.
    """
    given = partial(_contract, image_size, color, fit)
    if name in NAMES:
        from .torchvision import load_known

        data = load_known(str(name), Path(data_dir or os.environ.get("KIT_DATA_DIR") or DEFAULT_DATA_DIR))
        return _conform(data, contract or given(data.contract))
    contract = contract or given(ImageContract(height=SIZE, width=SIZE, color="RGB"))
    try:
        source = open_labelled(name, column=column, label_column=label_column)
        return _decoded(source, contract, seed, progress)
    except errors.DataError as error:  # the readers' own is no TrainerError
        raise DataError(str(error)) from None


def _contract(size: int | None, color: str | None, fit: str | None, usual: ImageContract) -> ImageContract:
    height, width = (usual.height, usual.width) if size is None else (size, size)
    return ImageContract(height=height, width=width, color=color or usual.color, fit=fit or usual.fit)


def _decoded(
    source: "LabelledSource", contract: ImageContract, seed: int, progress: Callable[[int, int], None] | None
) -> Dataset:
    from .cache import cached_images, default_cache_dir, report_unreadable

    where = source.images.where
    check_trainable(where, source.labels, source.targets())
    cached = cached_images(source.images, contract, cache_dir=default_cache_dir(), progress=progress)
    if cached.unreadable:
        report_unreadable(source.name, cached.unreadable, len(source.images))
    targets = source.targets(cached.unreadable)
    check_trainable(where, source.labels, targets)
    return of_parts(source.name, source.labels, cached.images, targets, seed=seed, image=contract)


def _conform(data: Dataset, contract: ImageContract) -> Dataset:
    """Bring the images to another size or colour, as the artefact will bring a user's."""
    if contract == data.contract:
        return data
    train, test = (
        Split.of(np.stack([contract.pixels(image) for image in half.images.numpy()]), half.targets)
        for half in (data.train, data.test)
    )
    return Dataset(name=data.name, labels=data.labels, train=train, test=test, image=contract)

"""Loads a data set by its name or from where it lies."""

import os
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime import errors
from runtime.data.known import NAMES
from runtime.data.labelled import check_trainable, open_labelled
from runtime.data.unreadable import MAX_UNREADABLE, report_unreadable
from runtime.image import MAX_SHIFT, ImageContract
from runtime.remarks import messages, tally
from runtime.text import note

from ..errors import DataError
from .dataset import Dataset, Split, of_parts
from .names import Names

if TYPE_CHECKING:
    from runtime.data.source import LabelledSource, Source

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
    shift: int | None = None,
    column: str | None = None,
    label_column: str | None = None,
    max_unreadable: float = MAX_UNREADABLE,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Load a data set: one that has a name, or a folder, an archive, a table or Parquet of images.

    Images that cannot be read are left out and listed on standard error, if they are few. Decoded images are kept in a
    cache. With a test part the images are mapped from it and can only be read: writing to them kills the process.
    Raises DataError, and InputError where image_size, color, fit or shift is out of range.

    name: "fashion-mnist", "mnist", "kmnist", "cifar10", "digits"; or a path, in any of the layouts of docs/data.md, or
        the URL of Parquet.
    data_dir: folder of torchvision's files, which are downloaded to it; by default KIT_DATA_DIR from the environment,
        else ./data.
    image_size, color, fit: height and width in pixels, "L" or "RGB", and "stretch", "crop" or "pad", to bring the
        images to; by default as they are, and 32, "RGB" and "stretch" for a path.
    contract: what to bring the images to, in place of these three and shift.
    shift: bits that 16-bit pixels of a path are shifted by to become 8-bit, 0 to 8; by default the smallest that clips
        no training image.
    column, label_column: of a table or Parquet, with the images or their file names, and with the labels.
    max_unreadable: share of the images of a path that may be unreadable, 0-1.
    seed: random seed of the test split, a fifth of each class, where there is no test part.
    progress: called with the number of images decoded so far, and of all.
    """
    given = partial(_contract, image_size, color, fit)
    if name in NAMES:
        from .torchvision import load_known

        data = load_known(str(name), Path(data_dir or os.environ.get("KIT_DATA_DIR") or DEFAULT_DATA_DIR))
        return _conform(data, contract or given(data.contract))
    asked, choose = contract is not None, contract is None and shift is None
    usual = ImageContract(height=SIZE, width=SIZE, color="RGB", shift=MAX_SHIFT if shift is None else shift)
    try:
        source = open_labelled(name, column=column, label_column=label_column)
        contract = contract or given(usual)
        reading = {"progress": progress, "max_unreadable": max_unreadable}
        return _decoded(source, contract, seed, choose=choose, advise=not (fit or asked), **reading)
    except errors.DataError as error:  # the readers' own is no TrainerError
        raise DataError(str(error)) from None


def _contract(size: int | None, color: str | None, fit: str | None, usual: ImageContract) -> ImageContract:
    height, width = (usual.height, usual.width) if size is None else (size, size)
    return ImageContract(
        height=height, width=width, color=color or usual.color, fit=fit or usual.fit, shift=usual.shift
    )


def _decoded(
    source: "LabelledSource", contract: ImageContract, seed: int, *, choose: bool, advise: bool, **settings: Any
) -> Dataset:
    """Decode the images.

    choose: whether to choose the contract's shift.
    advise: whether to say which fit suits the images.
    """
    from .cache import cached_images, default_cache_dir
    from .shift import choose_shift

    where = source.images.where
    check_trainable(where, source.labels, source.targets())
    cached = cached_images(source.images, contract, cache_dir=default_cache_dir(), **settings)
    shift = choose_shift(source, cached.remarks) if choose else contract.shift
    if shift != contract.shift:
        contract = replace(contract, shift=shift)
        cached = cached_images(source.images, contract, cache_dir=default_cache_dir(), **settings)
    if cached.unreadable:
        report_unreadable(source.name, cached.unreadable, len(source.images), cached.listing)
    for message in messages(tally(cached.remarks.values(), shift), len(cached.images), shift):
        note(f"{source.name}: {message}")
    if advise:
        _advise(source.name, cached.elongated[: len(source.targets()["train"])], contract)
    targets = source.targets(cached.unreadable)
    check_trainable(where, source.labels, targets)
    tiny = frozenset(position for position, flag in enumerate(cached.tiny) if flag == "1")
    names = Names(source.images.name, _readable(source.images, cached.unreadable), tiny)
    return of_parts(source.name, source.labels, cached.images, targets, seed=seed, image=contract, names=names)


def _readable(images: "Source", unreadable: Collection[str]) -> NDArray[np.int64]:
    """Positions of the images that could be read."""
    if not unreadable:
        return np.arange(len(images))
    return np.array([position for position in range(len(images)) if images.name(position) not in unreadable])


def _advise(name: str, elongated: str, contract: ImageContract) -> None:
    """Recommend another fit where most training images are far from the model's aspect ratio."""
    if 2 * elongated.count("1") > len(elongated):
        note(
            f"{name}: {elongated.count('1'):,} of {len(elongated):,} training images have a side at least 1.5 times "
            f"the other, and are stretched to {contract.height} × {contract.width}: --fit crop or --fit pad keeps "
            "their shapes"
        )


def _conform(data: Dataset, contract: ImageContract) -> Dataset:
    """Bring the images to another size or colour, as the artefact will bring a user's."""
    if contract == data.contract:
        return data
    train, test = (
        Split.of(np.stack([contract.pixels(image) for image in half.images.numpy()]), half.targets)
        for half in (data.train, data.test)
    )
    return Dataset(name=data.name, labels=data.labels, train=train, test=test, image=contract)

"""A folder of images, one sub-folder a class, as a data set."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runtime.image import SUFFIXES, ImageContract, is_image

from ..errors import DataError
from .cache import Files, Progress, cached_images, default_cache_dir, note, report_unreadable
from .dataset import Dataset, of_parts

PARTS = ("train", "test")
PART_NAMES = {*PARTS, "training", "testing", "val", "valid", "validation"}
LAYOUT = "lay the images out as DIR/<class>/*.png, or as DIR/train/<class>/*.png with DIR/test/<class>/*.png"


def load_folder(
    root: Path,
    *,
    image_size: int = 32,
    color: str = "RGB",
    seed: int = 0,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Load `root`/<class>/*, or `root`/train/<class>/* with `root`/test/<class>/*, each image brought to one size.

    image_size: pixels, height and width. color: "L" or "RGB". seed: of the choice of a fifth of each class as the test
    split, where there is no test folder. cache_dir: where decoded images are kept, by default `default_cache_dir()`.
    progress: called with the number of images decoded so far, and of all.

    Labels are the class folders' names, sorted. A class has the image files in its folder and the folders in
    it; hidden ones are left out, and so are links from a class to another folder. Up to 1 % of the images may be
    unreadable: they are left out and named on standard error. With a test folder the images are mapped from the cache
    and can only be read: writing to them kills the process. Raises DataError, and InputError where image_size or color
    is out of range.
    """
    contract = ImageContract(height=image_size, width=image_size, color=color)
    name = root.name if root.name not in ("", "..") else root.resolve().name
    name = name.encode(errors="replace").decode()  # it goes into files of UTF-8
    parts = _parts(root)
    least = 2 if len(parts) == 1 else 1
    _check_classes(parts, least)
    files = [file for part in parts for names in part.classes.values() for file in names]
    cached = cached_images(Files(root, files), contract, cache_dir=cache_dir or default_cache_dir(), progress=progress)
    if cached.unreadable:
        report_unreadable(name, cached.unreadable, len(files))
        parts = [part.without(cached.unreadable) for part in parts]
        _check_classes(parts, least)
    return of_parts(name, list(parts[0].classes), cached.images, [part.targets for part in parts], seed=seed)


@dataclass(frozen=True)
class _Part:
    """The training or test images. classes: label → names of its files, relative to the data set's folder."""

    folder: Path
    classes: dict[str, list[str]]

    @property
    def targets(self) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        """Class of each file: int64 [N]."""
        return np.repeat(np.arange(len(self.classes)), [len(names) for names in self.classes.values()])

    def without(self, dropped: dict[str, str]) -> "_Part":
        kept = {label: [name for name in names if name not in dropped] for label, names in self.classes.items()}
        return _Part(self.folder, kept)


def _parts(root: Path) -> list[_Part]:
    """List the files: of one part, to be split, or of a training and a test part with the same classes."""
    folders = _folders(root)
    if not _has_parts(root, folders):
        if folders and all(folder.lower() in PART_NAMES for folder in folders):
            raise DataError(f"{root}: expected class folders, or train and test, found {_listed(folders)}: {LAYOUT}")
        return [_part(root, root, folders)]
    if others := [folder for folder in folders if folder not in PARTS]:
        note(f"{root}: only train and test are read, {_listed(others)} is left out")
    parts = [_part(root, root / part, _folders(root / part)) for part in PARTS if part in folders]
    if len(parts) == 2:
        _check_same_classes(root, *parts)
    return parts


def _has_parts(root: Path, folders: Sequence[str]) -> bool:
    """Tell train/<class>/* from a class that is called train."""
    return "train" in folders and (set(folders) <= set(PARTS) or bool(_folders(root / "train")))


def _check_same_classes(root: Path, train: _Part, test: _Part) -> None:
    alone = [f"train/{label}" for label in train.classes if label not in test.classes]
    alone += [f"test/{label}" for label in test.classes if label not in train.classes]
    if alone:
        raise DataError(
            f"{root}: expected the same class folders in train and test, found {_listed(alone)} "
            "without a counterpart: add it, or remove the folder"
        )


def _part(root: Path, folder: Path, labels: Sequence[str]) -> _Part:
    if not labels:
        found = "images directly in it" if _images(folder, folder) else "none"
        raise DataError(f"{folder}: expected a folder for each class, found {found}: {LAYOUT}")
    if len(labels) == 1:
        raise DataError(f"{folder}: expected at least 2 class folders, found only {labels[0]}: {LAYOUT}")
    return _Part(folder, {label: _images(root, folder / label) for label in labels})


def _check_classes(parts: Sequence[_Part], least: int) -> None:
    for part in parts:
        for label, names in part.classes.items():
            if len(names) < least:
                raise DataError(
                    f"{part.folder / label}: expected at least {least} readable image{'s' * (least - 1)} "
                    f"({_listed(SUFFIXES)}), found {len(names)}: add some, or remove the folder"
                )


def _folders(folder: Path) -> list[str]:
    """Names of the visible folders in a folder, sorted, without links that lead back up."""
    try:
        inside = [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir()]
        names = sorted(path.name for path in inside if not folder.resolve().is_relative_to(path.resolve()))
    except OSError as error:
        raise _no_folder(error, folder) from None
    for name in names:
        if name.encode(errors="replace").decode() != name:
            raise DataError(f"{folder}: expected class folders named in UTF-8, found {name!r}: rename it")
    return names


def _images(root: Path, folder: Path) -> list[str]:
    """Names of the image files anywhere in a folder, relative to root, sorted."""
    names: list[str] = []

    def refuse(error: OSError) -> None:
        raise _no_folder(error, folder)

    for current, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        prefix = Path(current).relative_to(root).as_posix()
        names += [f"{prefix}/{name}" for name in files if is_image(name)]
    return sorted(names)


def _no_folder(error: OSError, folder: Path) -> DataError:
    return DataError(f"{error.filename or folder}: expected a folder of images, found: {error.strerror}: {LAYOUT}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)

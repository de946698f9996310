"""A folder of images, one sub-folder a class."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..image_files import READ, is_image
from ..text import note
from .source import Files, Source

PARTS = ("train", "test")
PART_NAMES = {*PARTS, "training", "testing", "val", "valid", "validation"}
LAYOUT = "lay the images out as DIR/<class>/*.png, or as DIR/train/<class>/*.png with DIR/test/<class>/*.png"


class LabelledFolder:
    """`root`/<class>/*, or `root`/train/<class>/* with `root`/test/<class>/*, as a labelled source.

    Labels are the class folders' names, sorted. A class has the image files in its folder and the folders in it; hidden
    ones are left out, and so are links from a class to another folder. Raises DataError.
    """

    def __init__(self, root: Path) -> None:
        name = root.name if root.name not in ("", "..") else root.resolve().name
        self.name = name.encode(errors="replace").decode()  # it goes into files of UTF-8
        self._parts = _parts(root)
        self.labels: Sequence[str] = list(self._parts[0].classes)
        names = [name for part in self._parts for names in part.classes.values() for name in names]
        self.images: Source = Files(root, names)
        self.targets()

    def targets(self, without: Collection[str] = ()) -> list[NDArray[np.int64]]:
        """Targets of each part, int64 [n]. Raises DataError where a class has too few images."""
        return [self._targets(part, without) for part in self._parts]

    def _targets(self, part: "_Part", without: Collection[str]) -> NDArray[np.int64]:
        least = 2 if len(self._parts) == 1 else 1
        counts = [sum(name not in without for name in names) for names in part.classes.values()]
        for label, count in zip(part.classes, counts, strict=True):
            if count < least:
                raise DataError(
                    f"{part.folder / label}: expected at least {least} readable image{'s' * (least - 1)} "
                    f"({READ}), found {count}: add some, or remove the folder"
                )
        return np.repeat(np.arange(len(counts)), counts)


def walk(folder: str | Path, on_error: Callable[[OSError], None] | None = None) -> Iterator[tuple[str, list[str]]]:
    """Yield a folder and those below it, each with the names of its files; what is hidden is left out.

    on_error: called with the error of a folder that cannot be read; by default it is left out.
    """
    for current, folders, files in os.walk(folder, onerror=on_error):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield current, [name for name in files if not name.startswith(".")]


class _Part(NamedTuple):
    """The training or test images. classes: label → names of its files, relative to the data set's folder."""

    folder: Path
    classes: dict[str, list[str]]


def _parts(root: Path) -> list[_Part]:
    """List the files: of one part, to be split, or of a training and a test part with the same classes."""
    folders = _folders(root)
    if not _has_parts(root, folders):
        if folders and all(folder.lower() in PART_NAMES for folder in folders):
            raise DataError(f"{root}: expected class folders, or train and test, found {', '.join(folders)}: {LAYOUT}")
        return [_part(root, root, folders)]
    if others := [folder for folder in folders if folder not in PARTS]:
        note(f"{root}: only train and test are read, {', '.join(others)} is left out")
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
            f"{root}: expected the same class folders in train and test, found {', '.join(alone)} "
            "without a counterpart: add it, or remove the folder"
        )


def _part(root: Path, folder: Path, labels: Sequence[str]) -> _Part:
    if not labels:
        found = "images directly in it" if _images(folder, folder) else "none"
        raise DataError(f"{folder}: expected a folder for each class, found {found}: {LAYOUT}")
    if len(labels) == 1:
        raise DataError(f"{folder}: expected at least 2 class folders, found only {labels[0]}: {LAYOUT}")
    return _Part(folder, {label: _images(root, folder / label) for label in labels})


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

    def refuse(error: OSError) -> None:
        raise _no_folder(error, folder)

    names: list[str] = []
    for current, files in walk(folder, refuse):
        prefix = Path(current).relative_to(root).as_posix()
        names += [f"{prefix}/{name}" for name in files if is_image(Path(current, name))]
    return sorted(names)


def _no_folder(error: OSError, folder: Path) -> DataError:
    return DataError(f"{error.filename or folder}: expected a folder of images, found: {error.strerror}: {LAYOUT}")

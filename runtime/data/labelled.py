"""Labelled images of whatever a name stands for: a folder, an archive, a table, or Parquet."""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..text import note
from .known import NAMES
from .labels import check_distinct
from .layout import find_parts
from .parquet_layout import is_parquet_data
from .parts import WORDS
from .source import LabelledSource, Source, is_archive, is_table, without_some
from .table import USUAL, Columns
from .tree import Folder, Tree

SHOWN = 10  # classes in a message


class LabelledFiles:
    """Images in a tree of files, in any of the layouts of docs/data.md, as a labelled source.

    tree: the files.
    columns: of tables.
    table: the only table to read.
    Raises DataError.
    """

    def __init__(self, tree: Tree, columns: Columns = USUAL, table: str | None = None) -> None:
        parts = find_parts(tree, columns, table)
        check_distinct(tree.where, parts)
        self.name = tree.name
        self.labels: Sequence[str] = list(parts.get("train") or dict.fromkeys(_all(parts.values())))
        self._targets: dict[str, NDArray[np.int64]] = {}
        names: list[str] = []
        for part, classes in parts.items():
            if unknown := [label for label in classes if label not in self.labels]:
                raise DataError(
                    f"{tree.where}: expected {WORDS[part]} images of the training images' classes, found others: "
                    f"{', '.join(unknown[:SHOWN])}: rename or remove them"
                )
            images = tree.in_order([(name, target) for target, label in enumerate(self.labels)
                                    for name in classes.get(label, ())])  # fmt: skip
            names += [name for name, _ in images]
            self._targets[part] = np.array([target for _, target in images], np.int64)
            if part != "train" and (without := [label for label in self.labels if not classes.get(label)]):
                note(f"{tree.where}: no {WORDS[part]} images of {_few(without)}")
        self.images: Source = tree.images(names)

    def targets(self, without: Collection[str] = ()) -> dict[str, NDArray[np.int64]]:
        """Targets of each part, int64 [n]."""
        return without_some(self.images, self._targets, without)


def open_labelled(
    name: str | os.PathLike[str], *, column: str | None = None, label_column: str | None = None
) -> LabelledSource:
    """Find the labelled images of a folder, an archive, a table or Parquet, without decoding any.

    name: its path; or, of Parquet, a URL.
    column: with the images or their file names, of a table or Parquet.
    label_column: with the labels.
    Raises DataError, and InputError for Parquet.
    """
    given = os.fspath(name)
    columns = Columns(column, label_column)
    if is_parquet_data(given):
        from .labelled_parquet import LabelledParquet

        return LabelledParquet(given, columns)
    if not os.path.lexists(given):
        raise DataError(
            f"expected one of {', '.join(NAMES)}, or a folder, an archive or a table of images, or Parquet, "
            f"found {given!r}{_like(given)}"
        )
    path = Path(given)
    if is_table(given) and not os.path.isdir(given):  # noqa: PTH112 - Path raises for a name that is too long
        return LabelledFiles(Folder(path.parent), columns, path.name)
    if is_archive(given) and not os.path.isdir(given):  # noqa: PTH112
        from .archive import Archive

        return LabelledFiles(Archive(path), columns)
    return LabelledFiles(Folder(path), columns)


def _like(name: str) -> str:
    """Name the data set that is most like a name, if one is."""
    from difflib import get_close_matches

    close = get_close_matches(name.lower().replace("_", "-"), NAMES, n=1)
    return f": did you mean {close[0]}?" if close else ""


def check_trainable(where: str, labels: Sequence[str], parts: Mapping[str, NDArray[np.int64]]) -> None:
    """Refuse data that cannot be trained on: each class needs an image, or two where a fifth is to be held out.

    where: what the images are of, for messages.
    labels: K class names.
    parts: targets of each part.
    Raises DataError.
    """
    if "train" not in parts:
        raise DataError(f"{where}: expected training images, found {' and '.join(parts)} alone: add a folder train")
    if len(labels) < 2:
        raise DataError(f"{where}: expected at least 2 classes, found only {', '.join(labels)}: add others")
    check_counts(where, labels, parts["train"], 1 if "test" in parts else 2)


def check_counts(where: str, labels: Sequence[str], targets: NDArray[np.int64], least: int) -> None:
    """Refuse classes of fewer images. Raises DataError."""
    counts = np.bincount(targets, minlength=len(labels))
    if few := [f"{count} of {label}" for label, count in zip(labels, counts, strict=True) if count < least]:
        missing = int((least - counts).clip(min=0).sum())
        raise DataError(
            f"{where}: expected {least} or more readable training images of each class, found {_few(few)}: add "
            f"{missing:,}, or leave the class{'es' * (len(few) > 1)} out"
        )


def _all(parts: Collection[Mapping[str, Sequence[str]]]) -> list[str]:
    return sorted(label for classes in parts for label in classes)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + f" and {len(names) - SHOWN:,} more" * (len(names) > SHOWN)

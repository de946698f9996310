"""Parquet files of encoded images and labels, as Hugging Face `datasets` writes them."""

import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..image import Encoded
from ..text import note
from .labels import check_distinct
from .parquet import Reader, Rows, files_beside, find_rows, state
from .parquet_labels import Labels, read_labels
from .parquet_layout import find_files
from .parts import WORDS
from .source import Source, file_state, is_url, without_some
from .table import USUAL, Columns

ALL_ROWS = sys.maxsize


class LabelledParquet:
    """A Parquet file or a folder of them, local or at a URL that fsspec opens, as a labelled source.

    A column holds the images: binary, or a struct of bytes and path; another the labels: text, true and false, or
    integers, with names from Hugging Face's metadata if they are there. Rows without a label are counted and left out.

    source: the path or URL.
    columns: of images and labels; by default the only one of images, and `label` or the like.
    Raises DataError and InputError.
    """

    def __init__(self, source: str, columns: Columns = USUAL) -> None:
        self.name = PurePosixPath(source.partition("?")[0].rstrip("/")).name.removesuffix(".parquet") or "parquet"
        parts = {
            part: labelled
            for part, names in find_files(source).items()
            if (labelled := _labelled(source, part, names, columns))
        }
        if not parts:
            raise DataError(f"{source}: expected labels, found images without any: fill them in")
        files = [file for part in parts.values() for file in part]
        self.images: Source = _Images(source, files)
        self.labels: Sequence[str]
        self.labels, targets = _targets(source, files)
        ends = np.cumsum([sum(len(file.labels.targets) for file in part) for part in parts.values()])[:-1]
        self._targets = dict(zip(parts, np.split(targets, ends), strict=True))

    def targets(self, without: Collection[str] = ()) -> dict[str, NDArray[np.int64]]:
        """Targets of each part, int64 [n]."""
        return without_some(self.images, self._targets, without)


class _File(NamedTuple):
    """A Parquet file. rows: to read, each within a row group. labels: of these rows."""

    name: str
    rows: list[Rows]
    labels: Labels


class _Images:
    """Encoded images of some files, one after the other."""

    def __init__(self, where: str, files: Sequence[_File]) -> None:
        self.where, self._files = where, files
        self._rows = [rows for file in files for rows in file.rows]
        self._firsts = np.cumsum([0, *(rows.images for rows in self._rows)])

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def __iter__(self) -> Iterator[Encoded]:
        with closing(Reader()) as reader:
            for rows in self._rows:
                yield from reader.images(rows)

    def name(self, position: int) -> str:
        """Name a row, counted from 0 in its file."""
        place = int(np.searchsorted(self._firsts, position, side="right")) - 1
        rows = self._rows[place]
        return f"{rows.name} row {rows.first + rows.start + position - self._firsts[place]}"

    def states(self) -> Iterator[object]:
        """Yield each file's name, column, rows, what its file system says of it, and of the image files beside it."""
        for file in self._files:
            rows = [[rows.first + rows.start, rows.images] for rows in file.rows]
            beside = [[str(path), *file_state(path)] for path in files_beside(file.rows)]
            yield [file.name, file.rows[0].column if rows else None, state(file.name), rows, *beside]


def _labelled(source: str, part: str, names: Sequence[str], columns: Columns) -> list[_File]:
    """Find a part's rows that have a label; empty where none has one. Says how many have none. Raises DataError."""
    in_files = [_rows(name, columns) for name in names]
    if not any(in_files):
        raise DataError(f"{', '.join(names)}: expected rows, found none: fetch the data again")
    found, left_out = [], 0
    for name, rows in zip(names, in_files, strict=True):
        labels = read_labels(name, columns.labels)
        has = labels.targets >= 0
        left_out += int((~has).sum())
        kept = rows if has.all() else [run for one in rows for run in _runs(one, has[one.first :][: one.stop])]
        found.append(_File(name, kept, labels._replace(targets=labels.targets[has])))
    if left_out:
        where, which = (names[0], "") if len(names) == 1 else (source, f"{WORDS[part]} ")
        note(f"{where}: {left_out:,} {which}images have no label, and are left out")
    return found if any(file.rows for file in found) else []


def _rows(name: str, columns: Columns) -> list[Rows]:
    source = name if is_url(name) else str(Path(name).absolute())
    return find_rows(name, source, column=columns.images, size=ALL_ROWS)


def _runs(rows: Rows, kept: NDArray[np.bool_]) -> Iterator[Rows]:
    """Divide the rows of a whole row group into those that follow one another and are kept, bool [n]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], kept, [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2).tolist():
        yield rows._replace(start=start, stop=stop)


def _targets(source: str, files: Sequence[_File]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Merge the labels of all rows: the class names, and int64 [N]. Raises DataError."""
    found = [file.labels for file in files]
    kinds = {(tuple(labels.classes) if labels.named else type(labels.classes[0])) for labels in found if labels.classes}
    if len(kinds) > 1:
        raise DataError(f"{source}: expected labels of one kind and the same names in all files, found {len(kinds)}")
    first = found[0]
    places = [file.name.removeprefix(source).lstrip("/") or Path(file.name).name for file in files]
    of_files = {place: map(str, labels.classes) for place, labels in zip(places, found, strict=True)}
    check_distinct(source, of_files, by_case=not first.named)  # who lists names has meant them
    classes = first.classes if first.named else sorted({name for labels in found for name in labels.classes})
    order = {name: place for place, name in enumerate(classes)}
    targets = [np.array([order[name] for name in labels.classes], np.int64)[labels.targets] for labels in found]
    return tuple(map(str, classes)), np.concatenate(targets)

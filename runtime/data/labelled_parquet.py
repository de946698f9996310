"""Parquet files of encoded images and labels, as Hugging Face `datasets` writes them."""

import json
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, needs_extra
from ..text import note
from .parquet import Reader, Rows, find_rows, find_urls, opened, state
from .parts import NAMES, part_of
from .source import PARQUET_FILES, Source, is_url

LABEL_COLUMNS = ("label", "labels", "class")
WORDS = re.compile(r"[/._-]")
ALL_ROWS = sys.maxsize


class LabelledParquet:
    """A Parquet file or a folder of them, local or at a URL that fsspec opens, as a labelled source.

    A column holds the encoded images, binary or a struct of bytes and path, and a column `label` the labels: text, or
    integers, with names from Hugging Face's metadata if they are there. Files called train and test are the parts.
    Raises DataError and InputError.
    """

    def __init__(self, source: str) -> None:
        self.name = PurePosixPath(source.partition("?")[0].rstrip("/")).name.removesuffix(".parquet") or "parquet"
        parts = _parts(source, _files(source))
        self._names, files = list(parts), [file for part in parts.values() for file in part]
        self.images: Source = _Images(source, files)
        self._ends = np.cumsum([sum(file.images for file in part) for part in parts.values()])[:-1]
        labels, self._targets = _targets(source, files)
        self.labels: Sequence[str] = labels

    def targets(self, without: Collection[str] = ()) -> dict[str, NDArray[np.int64]]:
        """Targets of each part, int64 [n]."""
        kept = np.array([self.images.name(row) not in without for row in range(len(self.images))] if without else True)
        split = (np.split(array, self._ends) for array in (self._targets, np.broadcast_to(kept, self._targets.shape)))
        return {part: targets[mask] for part, targets, mask in zip(self._names, *split, strict=True)}


class _File(NamedTuple):
    """A Parquet file. rows: to read, a row group each."""

    name: str
    rows: list[Rows]

    @property
    def images(self) -> int:
        """The number of images."""
        return sum(rows.images for rows in self.rows)


class _Images:
    """Encoded images of some files, one after the other."""

    def __init__(self, where: str, files: Sequence[_File]) -> None:
        self.where, self.files = where, files
        self._firsts = np.cumsum([0, *(file.images for file in files)])

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def __iter__(self) -> Iterator[bytes | None]:
        with closing(Reader()) as reader:
            for file in self.files:
                for rows in file.rows:
                    yield from reader.images(rows)

    def name(self, position: int) -> str:
        """Name a row, counted from 0 in its file."""
        file = int(np.searchsorted(self._firsts, position, side="right")) - 1
        return f"{self.files[file].name} row {position - self._firsts[file]}"

    def states(self) -> Iterator[object]:
        """Yield each file's name, column, and what its file system says of it."""
        for file in self.files:
            yield [file.name, file.rows[0].column if file.rows else None, state(file.name)]


def _files(source: str) -> list[str]:
    if is_url(source):
        return find_urls(source)
    path = Path(source)
    if not path.is_dir():
        return [source]
    return sorted(str(file) for pattern in PARQUET_FILES for file in path.glob(pattern))


def _parts(source: str, names: Sequence[str]) -> dict[str, list[_File]]:
    """Sort the files into training, validation and test images; where none is called train, all are training images."""
    found: dict[str, list[str]] = {}
    for name in names:
        words = WORDS.split(name.removeprefix(source).lower())
        found.setdefault(next(filter(None, map(part_of, reversed(words))), ""), []).append(name)
    if "train" not in found:
        found = {"train": list(names)}
    if others := found.pop("", []):
        note(f"{source}: {', '.join(Path(name).name for name in others)} left out, which names no part of the data set")
    parts = {part: [_file(name) for name in found[part]] for part in NAMES if part in found}
    for part in parts.values():
        if not sum(file.images for file in part):
            raise DataError(f"{', '.join(file.name for file in part)}: expected rows, found none: fetch the data again")
    return parts


def _file(name: str) -> _File:
    source = name if is_url(name) else str(Path(name).resolve())
    return _File(name, find_rows(name, source, column=None, size=ALL_ROWS))


class _Labels(NamedTuple):
    """A file's labels.

    classes: names or numbers, in order.
    targets: int64 [n], indices into the classes, a row each.
    named: whether the file itself lists the classes.
    """

    classes: list[Any]
    targets: NDArray[np.int64]
    named: bool = False


def _targets(source: str, files: Sequence[_File]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Read the labels of all rows: the class names, and int64 [N]. Raises DataError."""
    found = [_labels_of(file.name) for file in files]
    kinds = {(tuple(labels.classes) if labels.named else type(labels.classes[0])) for labels in found if labels.classes}
    if len(kinds) > 1:
        raise DataError(f"{source}: expected labels of one kind and the same names in all files, found {len(kinds)}")
    first = found[0]
    classes = first.classes if first.named else sorted({name for labels in found for name in labels.classes})
    places = {name: place for place, name in enumerate(classes)}
    targets = [np.array([places[name] for name in labels.classes], np.int64)[labels.targets] for labels in found]
    return tuple(map(str, classes)), np.concatenate(targets)


def _labels_of(name: str) -> _Labels:
    """Read a file's labels. Raises DataError."""
    with needs_extra("parquet", "reading Parquet"):
        import pyarrow as pa
    with opened(name) as file:
        schema = file.schema_arrow
        column = _label_column(name, schema)
        kind = schema.field(column).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        values = pa.chunked_array([batch.column(0).cast(kind) for batch in file.iter_batches(columns=[column])], kind)
    if values.null_count:
        row = next(row for row, value in enumerate(values) if not value.is_valid)
        raise DataError(f"{name} row {row}: expected a {column}, found null: fill it in, or leave the row out")
    if not pa.types.is_integer(kind):
        encoded = values.combine_chunks().dictionary_encode()
        return _Labels(encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64))
    numbers = values.to_numpy().astype(np.int64)
    if names := _names(schema, column):
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(names):
            raise DataError(
                f"{name}: expected a {column} of 0 to {len(names) - 1}, which have names, found {numbers.min()} to "
                f"{numbers.max()}: leave out the rows that have none"
            )
        return _Labels(names, numbers, named=True)
    classes, targets = np.unique(numbers, return_inverse=True)
    return _Labels(classes.tolist(), targets.astype(np.int64))


def _label_column(name: str, schema: Any) -> str:
    import pyarrow.types as kinds

    for column in LABEL_COLUMNS:
        if column in schema.names:
            kind = schema.field(column).type
            inside = kind.value_type if kinds.is_dictionary(kind) else kind
            if kinds.is_integer(inside) or kinds.is_string(inside) or kinds.is_large_string(inside):
                return column
            raise DataError(f"{name}: expected {column} to be text or whole numbers, found {kind}: cast it")
    raise DataError(
        f"{name}: expected a column {' or '.join(LABEL_COLUMNS)}, found {', '.join(schema.names)}: rename the one with "
        "the classes"
    )


def _names(schema: Any, column: str) -> list[str]:
    """Names of the numbers, as Hugging Face's metadata have them; empty where they have none."""
    try:
        document = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        return list(map(str, document["info"]["features"][column]["names"]))
    except (ValueError, KeyError, TypeError):
        return []

"""Encoded images in Parquet files, local or at fsspec's URLs; pyarrow and fsspec are imported inside functions only."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import InputError, KitError, needs_extra
from ..files import reason
from .parquet_images import beside, encoded, image_column, leaves
from .source import is_parquet, is_url

if TYPE_CHECKING:
    import pyarrow.parquet as pq

    from ..image import Encoded

READ_ROWS = 16  # encoded images that are in memory at a time
BUFFER_BYTES = 2**20
MAGIC_BYTES = 4  # at the end of every Parquet file
AGAIN = "fetch it again, or leave it out"


class Rows(NamedTuple):
    """Some rows of one row group of a Parquet file.

    name: the file's name, as it was given.
    source: its absolute path, or its URL.
    column: the column of images.
    group: number of the row group.
    first: the file's row that is the group's first.
    start, stop: rows within the group.
    """

    name: str
    source: str
    column: str
    group: int
    first: int
    start: int
    stop: int

    @property
    def images(self) -> int:
        """The number of images, at least 1."""
        return self.stop - self.start


def find_urls(url: str) -> list[str]:
    """List the Parquet files that a URL stands for: itself, those that its * match, or those below it, sorted.

    Raises InputError.
    """
    if is_parquet(url.partition("?")[0]) and "*" not in url:
        return [url]
    with _readable(url):
        system, path = _file_system(url)
        found = system.glob(path) if "*" in url else system.find(path)
        files = sorted(system.unstrip_protocol(file) for file in found if is_parquet(file))
    if not files:
        raise InputError(f"{url}: expected a .parquet file or a folder that holds some, found none: name another")
    return files


def find_rows(name: str, source: str, *, column: str | None, size: int) -> list[Rows]:
    """Divide the rows of a file, at most `size` at a time. Reads its footer only.

    name, source, column: as in `Rows`; column None for the only one that can hold images.
    Raises InputError.
    """
    with _readable(name):
        file = _open(source)
        images = image_column(name, file.schema_arrow, column)
        counts = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        file.close(force=True)
    firsts = [sum(counts[:group]) for group in range(len(counts))]
    return [
        Rows(name, source, images, group, firsts[group], start, min(start + size, count))
        for group, count in enumerate(counts)
        for start in range(0, count, size)
    ]


@contextmanager
def opened(name: str) -> Iterator[pq.ParquetFile]:
    """Open a file. Raises InputError where it, or what is read of it in the block, is not Parquet."""
    with _readable(name):
        file = _open(name)
        try:
            yield file
        finally:
            file.close(force=True)


def state(name: str) -> object:
    """Say what tells a file from its other states, as JSON: its size, time, or what else its file system knows."""
    with _readable(name):
        system, path = _file_system(name)
        return json.dumps(system.info(path), default=str, sort_keys=True)


class Reader:
    """Reads images out of Parquet; keeps its place, as the next rows are often of the same row group."""

    def __init__(self) -> None:
        self._file: pq.ParquetFile | None = None
        self._place: tuple[str, int] = "", 0
        self._images: Iterator[Encoded] = iter(())
        self._at = 0

    def images(self, rows: Rows) -> Iterator[Encoded]:
        """Read images one by one, as `parquet_images.encoded`. Raises InputError."""
        with _readable(rows.name):
            if self._place != (rows.source, rows.group) or self._at > rows.start:
                self._go_to_group(rows)
            for image in self._images:
                self._at += 1
                if self._at > rows.start:
                    yield image
                if self._at == rows.stop:
                    return
        raise InputError(f"{rows.name}: expected {rows.stop} rows in row group {rows.group}, found {self._at}: {AGAIN}")

    def close(self) -> None:
        """Close the file that was read last."""
        if self._file is not None:
            self._file.close(force=True)

    def _go_to_group(self, rows: Rows) -> None:
        if self._file is None or self._place[0] != rows.source:
            self.close()
            self._file = _open(rows.source)
        columns = leaves(rows.column, self._file.schema_arrow.field(rows.column).type)
        batches = self._file.iter_batches(READ_ROWS, row_groups=[rows.group], columns=columns, use_threads=False)
        self._images = (image for batch in batches for image in encoded(batch.column(rows.column), rows.source))
        self._place, self._at = (rows.source, rows.group), 0


def files_beside(rows: Iterable[Rows]) -> Iterator[Path]:
    """Yield the files of images that rows name in place of bytes. Reads paths alone, and those only where bytes lack.

    Where some images of a row group have bytes, files that their paths name may be among them.
    """
    for one in {(one.source, one.group): one for one in rows if not is_url(one.source)}.values():
        with opened(one.source) as file:
            found = leaves(one.column, file.schema_arrow.field(one.column).type)
            if len(found) < 2 or not _lacks(file.metadata.row_group(one.group), found[0]):
                continue
            table = file.read_row_group(one.group, columns=found[1:])
            paths = [value["path"] for value in table.column(one.column).to_pylist() if value]
        yield from (place for path in paths if path and isinstance(place := beside(one.source, path), Path))


def _lacks(group: pq.RowGroupMetaData, leaf: str) -> bool:
    """Whether a column has nulls, or the file does not say so."""
    columns = (group.column(number) for number in range(group.num_columns))
    known = next(column.statistics for column in columns if column.path_in_schema == leaf)
    return not (known and known.has_null_count and known.null_count == 0)


def _open(source: str) -> pq.ParquetFile:
    with needs_extra("parquet", "reading Parquet"):
        import pyarrow.parquet as pq
    opened = _seekable(source) if is_url(source) else source
    return pq.ParquetFile(opened, buffer_size=BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True)


def _seekable(url: str) -> Any:
    """Open a URL; what its server gives only as a whole is copied to an unnamed temporary file."""
    system, path = _file_system(url)
    file = system.open(path, "rb")
    try:
        file.seek(-MAGIC_BYTES, 2)
        file.read(MAGIC_BYTES)
        file.seek(0)
    except ValueError:  # how fsspec says that the server does not serve ranges
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        with system.open(path, "rb", block_size=0) as whole:
            shutil.copyfileobj(whole, copy)
        return copy
    return file


def _file_system(url: str) -> tuple[Any, str]:
    with needs_extra("parquet", "opening a URL"):
        from fsspec.core import url_to_fs
    system, path = url_to_fs(url)
    return system, path


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except KitError:
        raise
    except Exception as error:  # pyarrow and every file system raise their own, which share no base class
        cause = error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ else error
        raise InputError(f"{name}: expected Parquet that can be read, found: {reason(cause)}: {AGAIN}") from None

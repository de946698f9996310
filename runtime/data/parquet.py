"""Encoded images in Parquet files, local or at fsspec's URLs; pyarrow and fsspec are imported inside functions only."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import InputError, KitError, needs_extra
from ..files import reason
from .source import is_parquet, is_url

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

READ_ROWS = 16  # encoded images that are in memory at a time
BUFFER_BYTES = 2**20
MAGIC_BYTES = 4  # at the end of every Parquet file
BINARY = {"binary", "binary_view", "large_binary"}
AGAIN = "fetch it again, or leave it out"
LAYOUT = "a column of encoded images: binary, or a struct of bytes and path as Hugging Face datasets writes it"


class Rows(NamedTuple):
    """Some rows of one row group of a Parquet file.

    name: the file's name, as it was given.
    source: its absolute path, or its URL.
    column: the column of encoded images.
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
        images = _image_column(name, file.schema_arrow, column)
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
        self._images: Iterator[bytes | None] = iter(())
        self._at = 0

    def images(self, rows: Rows) -> Iterator[bytes | None]:
        """Read encoded images one by one, None where there is none. Raises InputError."""
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
        batches = self._file.iter_batches(READ_ROWS, row_groups=[rows.group], columns=[rows.column], use_threads=False)
        self._images = (_bytes(value) for batch in batches for value in batch.column(0).to_pylist())
        self._place, self._at = (rows.source, rows.group), 0


def _bytes(value: dict[str, bytes | None] | bytes | None) -> bytes | None:
    return value["bytes"] if isinstance(value, dict) else value


def _image_column(name: str, schema: pa.Schema, wanted: str | None) -> str:
    """Name the leaf to read. Raises InputError."""
    leaves = {field.name: leaf for field in schema if (leaf := _image_leaf(field))}
    if wanted is None and len(leaves) > 1:
        raise InputError(f"{name}: expected one column of images, found {', '.join(leaves)}: choose one with --column")
    for column, leaf in leaves.items():
        if wanted in (None, column):
            return leaf
    found = ", ".join(f"{field.name}: {field.type}" for field in schema) or "no columns"
    raise InputError(f"{name}: expected {f'{wanted}, ' if wanted else ''}{LAYOUT}, found {found}: cast or name another")


def _image_leaf(field: pa.Field) -> str | None:
    """Name of the binary values in a column of images, None for any other column."""
    if str(field.type) in BINARY:
        return str(field.name)
    inside = (
        {child.name: str(child.type) for child in field.type.fields} if str(field.type).startswith("struct") else {}
    )
    return f"{field.name}.bytes" if inside.get("bytes") in BINARY else None


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

"""Writes the folder of predictions: whole under its name, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ScoringError
from ..files import check_name, writable

if TYPE_CHECKING:
    import pyarrow as pa

PART_ROWS = 2**17  # a few megabytes


class Predictions:
    """Part files in a folder: each but the last has at least PART_ROWS rows, so that memory stays bounded."""

    def __init__(self, folder: Path, name: Path, schema: pa.Schema) -> None:
        self._folder, self._name = folder, name
        self._empty = schema.empty_table()
        self._tables: list[pa.Table] = []
        self._parts = 0

    def add(self, table: pa.Table) -> None:
        """Take the next rows. Raises ScoringError."""
        self._tables.append(table)
        if sum(len(table) for table in self._tables) >= PART_ROWS:
            self._write()

    def close(self) -> None:
        """Write the rows that are not in a file yet; without any rows, one empty file. Raises ScoringError."""
        if self._tables or not self._parts:
            self._write()

    def _write(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        data = pa.BufferOutputStream()
        pq.write_table(pa.concat_tables([self._empty, *self._tables]), data)
        part = self._folder / f"part-{self._parts:05}.parquet"
        with writable(self._name, ScoringError), part.open("xb") as file:
            file.write(data.getvalue())
            file.flush()
            os.fsync(file.fileno())
        self._tables = []
        self._parts += 1


def check_output(folder: Path) -> None:
    """Refuse a folder that cannot be written to or that is not empty, and the name "-". Raises ScoringError."""
    check_name(folder, ScoringError, ())
    with writable(folder, ScoringError):
        found = ""
        if folder.is_mount():  # it cannot be replaced by renaming
            found = "a mount point: name a folder in it"
        elif folder.is_dir():
            found = "one with files: name another, or remove them" if any(folder.iterdir()) else ""
        elif folder.exists() or folder.is_symlink():
            found = "a file: name another"
    if found:
        raise ScoringError(f"{folder}: expected a new or an empty folder for the predictions, found {found}")


@contextmanager
def writing(folder: Path, schema: pa.Schema) -> Iterator[Predictions]:
    """Give predictions to add to, in a hidden folder beside `folder`, which is renamed to it at the end of the block.

    schema: the columns.
    Where the block fails nothing is left. Removes what a killed run has left, and makes the parent folder. Raises
    ScoringError where the disk is full, the place cannot be written to, or another run is writing there.
    """
    final = folder.resolve()
    part = final.with_name(f".{final.name}.part")
    with writable(folder, ScoringError):
        if part.is_symlink():  # what a link of that name leads to is someone else's
            part.unlink()
        part.mkdir(parents=True, exist_ok=True)
    with _alone(part, folder):
        try:
            with writable(folder, ScoringError):
                for stale in part.iterdir():
                    stale.unlink()
            predictions = Predictions(part, folder, schema)
            yield predictions
            predictions.close()
            with writable(folder, ScoringError):
                part.rename(final)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise


@contextmanager
def _alone(part: Path, folder: Path) -> Iterator[None]:
    """Hold a lock on the unfinished predictions, which the system releases when a run is killed."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with writable(folder, ScoringError):
        held = os.open(part, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ScoringError(f"{folder}: expected to write alone, found another run at it: name another") from None
        yield
    finally:
        os.close(held)

"""Finds the images that the command line names, and divides them into chunks to score."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeAlias

from ..data.parquet import Rows, find_rows, find_urls
from ..data.source import is_parquet, is_url
from ..data.tree import is_hidden, is_own
from ..errors import InputError
from ..image_files import READ, is_image, is_named_as_image
from ..text import note, printable

FOOTERS_AT_ONCE = 8


class Files(NamedTuple):
    """A chunk of image files.

    names: as they were given, or found.
    folder: the absolute one that they are relative to.
    """

    names: tuple[str, ...]
    folder: str

    @property
    def images(self) -> int:
        """The number of images, at least 1."""
        return len(self.names)


Chunk: TypeAlias = Files | Rows


def place(path: str, row: int | None) -> str:
    """Name an image in a message: its file, or its row in a Parquet file."""
    return path if row is None else f"{path}, row {row}"


def find_chunks(inputs: Iterable[str], *, size: int, column: str | None = None) -> list[Chunk]:
    """List images in chunks, in the order of the inputs, and in each input by name and row; reads Parquet's footers.

    inputs: image files, .parquet files, folders of these, globs, and fsspec's URLs of Parquet.
    size: images per chunk, at most.
    column: Parquet's column with the images; None for the only one that can hold some.
    Raises InputError.
    """
    folder = os.getcwd()  # noqa: PTH109 - as a string
    names = [name for given in inputs for name in _expand(given)]
    chunks: list[Chunk] = []
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        for parquet, group in groupby(names, lambda name: is_url(name) or is_parquet(name)):
            if parquet:
                for rows in pool.map(partial(_rows, folder=folder, size=size, column=column), group):
                    chunks += rows
            else:
                images = tuple(group)
                chunks += [Files(images[at : at + size], folder) for at in range(0, len(images), size)]
    return chunks


def _rows(name: str, *, folder: str, size: int, column: str | None) -> list[Rows]:
    source = name if is_url(name) else str(Path(folder, name))
    return find_rows(name, source, column=column, size=size)


def _expand(given: str) -> Iterator[str]:
    if is_url(given):
        yield from find_urls(given)
        return
    found = [given] if Path(given).exists() else sorted(glob.glob(given, recursive=True))  # noqa: PTH207 - of any path
    if not found:
        raise InputError(f"{given}: expected an image, a folder, Parquet or a glob, found nothing: name another")
    for name in found:
        yield from (file.name for file in images_below(name, parquet=True)) if Path(name).is_dir() else [name]


class Listed(NamedTuple):
    """An image in a folder.

    name: of the file.
    width: length of the longest name of an image beside it, as far as the names tell.
    """

    name: str
    width: int


def images_below(folder: str, *, parquet: bool = False) -> Iterator[Listed]:
    """Yield the images in a folder and below it in the order of their names; hidden files and folders are left out.

    A folder is read when its turn comes; runs and predictions of `kit`'s own are left out with a note. Raises
    InputError where none is found.

    parquet: whether Parquet files are listed too.
    """
    found = False
    for file in _files_below(Path(folder), Path(folder)):
        if (parquet and is_parquet(os.path.basename(file.name))) or is_image(file.name):  # noqa: PTH119 - is quicker
            found = True
            yield file
    if not found:
        wanted = "images or Parquet" if parquet else "images"
        raise InputError(f"{folder}: expected a folder with {wanted}, found none ({READ}): name another")


def _files_below(folder: Path, root: Path) -> Iterator[Listed]:
    """Yield files; a folder that cannot be read has none, nor has a folder below the root that `kit` wrote."""
    try:
        with os.scandir(folder) as entries:
            shown = sorted((entry for entry in entries if not is_hidden(entry.name)), key=lambda entry: entry.name)
    except OSError:
        return
    if folder != root and is_own(folder, [entry.name for entry in shown]):
        note(f"{root}: {folder.relative_to(root)} is left out: kit wrote it")
        return
    names = {entry.name: str(folder / entry.name) for entry in shown}
    width = max((len(printable(path)) for name, path in names.items() if is_named_as_image(name)), default=0)
    for entry in shown:
        if not _is_folder(entry):
            yield Listed(names[entry.name], width)
        elif not entry.is_symlink():
            yield from _files_below(folder / entry.name, root)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # of a link to itself
        return False

"""Files in folders on disk, and which folders hold what `kit` wrote itself."""

import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from ..errors import DataError
from ..files import check_regular, reason
from ..image_files import is_image
from .parts import LAYOUT, part_of
from .source import Files, Source, is_table, join

RUN = {"model.safetensors", "history.csv"}
PREDICTIONS, COLUMNS = re.compile(r"part-\d{5}\.parquet"), (b"probability", b"error", b"row", b"path")
TAIL = 2**15  # bytes of a Parquet file's footer


class Tree(Protocol):
    """Folders and files, named by their path in the tree, with / between folders; "" is its root.

    Hidden ones are left out.

    where: the folder or archive, for messages.
    name: of the data set.
    outputs: runs and folders of predictions of `kit`'s own that were met and left out.
    """

    where: str
    name: str
    outputs: list[str]

    def folders(self, path: str) -> list[str]:
        """Names of the folders in a folder, sorted. Raises DataError."""
        ...

    def walk(self, path: str) -> Iterator[tuple[str, list[str]]]:
        """Yield a folder and those below it, each with the sorted names of its files. Raises DataError."""
        ...

    def is_image(self, name: str) -> bool:
        """Whether a file is an image by its name, or by its first bytes."""
        ...

    def read(self, name: str, limit: int) -> bytes:
        """Read a file, at most one byte more than `limit`. Raises DataError."""
        ...

    def in_order(self, images: Sequence[tuple[str, int]]) -> Sequence[tuple[str, int]]:
        """Sort names with their targets as they are best read."""
        ...

    def images(self, names: Sequence[str]) -> Source:
        """Hand over images."""
        ...


class Folder:
    """A folder on disk. Links to folders are followed where a class or a part is looked for, and not below."""

    def __init__(self, root: Path) -> None:
        name = root.name if root.name not in ("", "..") else root.resolve().name
        self.name = name.encode(errors="replace").decode()  # it goes into files of UTF-8
        self.where, self._root = str(root), root
        self.outputs: list[str] = []

    def folders(self, path: str) -> list[str]:
        """Names of the folders in a folder, sorted, without links that lead back up. Raises DataError."""
        folder = self._root / path
        try:
            inside = [entry for entry in folder.iterdir() if not is_hidden(entry.name) and entry.is_dir()]
            found = [entry for entry in inside if not folder.resolve().is_relative_to(entry.resolve())]
            return sorted(entry.name for entry in found if not self._is_output(entry, os.listdir(entry)))  # noqa: PTH208
        except OSError as error:
            raise _no_folder(error, folder) from None

    def walk(self, path: str) -> Iterator[tuple[str, list[str]]]:
        """Yield a folder and those below it, each with the sorted names of its files. Raises DataError."""

        def refuse(error: OSError) -> None:
            raise _no_folder(error, self._root / path)

        for current, files in walk(self._root / path, refuse, self._is_output):
            inside = Path(current).relative_to(self._root).as_posix()
            yield "" if inside == "." else inside, sorted(files)

    def is_image(self, name: str) -> bool:
        """Whether a file is an image by its name, or by its first bytes."""
        return is_image(self._root / name)

    def read(self, name: str, limit: int) -> bytes:
        """Read a file, at most one byte more than `limit`. Raises DataError."""
        try:
            check_regular(self._root / name, "a table", DataError)
            with (self._root / name).open("rb") as file:
                return file.read(limit + 1)
        except OSError as error:
            raise DataError(f"{self._root / name}: expected a file to read, found: {reason(error)}") from None

    def in_order(self, images: Sequence[tuple[str, int]]) -> Sequence[tuple[str, int]]:
        """Leave names in their order."""
        return images

    def images(self, names: Sequence[str]) -> Source:
        """Hand over images."""
        return Files(self._root, names)

    def _is_output(self, folder: str | Path, names: Collection[str]) -> bool:
        found = is_own(folder, names)
        inside = os.path.relpath(folder, self._root)
        if found and inside not in self.outputs:
            self.outputs.append(inside)
        return found


def walk(
    folder: str | Path,
    on_error: Callable[[OSError], None] | None = None,
    left_out: Callable[[str, Collection[str]], bool] | None = None,
) -> Iterator[tuple[str, list[str]]]:
    """Yield a folder and those below it, each with the names of its files; what is hidden is left out.

    on_error: called with the error of a folder that cannot be read; by default it is left out.
    left_out: says of a folder below, and the names in it, whether to leave it out with all below.
    """
    for current, folders, files in os.walk(folder, onerror=on_error):
        if left_out and current != str(folder) and left_out(current, files):
            folders.clear()
            continue
        folders[:] = [name for name in folders if not is_hidden(name)]
        yield current, [name for name in files if not is_hidden(name)]


def is_hidden(name: str) -> bool:
    """Whether a folder or a file of that name is left out; macOS puts its own beside others' in archives."""
    return name.startswith(".") or name == "__MACOSX"


def is_own(folder: str | Path, names: Collection[str]) -> bool:
    """Whether a folder on disk, of files of these names, is `kit`'s own, as for `is_output`."""
    return is_output(names, lambda name: _tail(Path(folder, name)))


def is_output(names: Collection[str], tail: Callable[[str], bytes]) -> bool:
    """Whether a folder of files of these names is a run of `kit train` or predictions of `kit classify`.

    tail: returns the last bytes of a file.
    """
    if set(names) >= RUN:
        return True
    files = [name for name in names if not is_hidden(name)]
    if not files or not all(PREDICTIONS.fullmatch(name) for name in files):
        return False
    footer = tail(min(files))
    return all(column in footer for column in COLUMNS)


def _tail(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            return file.read(TAIL)
    except OSError:
        return b""


def _no_folder(error: OSError, folder: Path) -> DataError:
    return DataError(f"{error.filename or folder}: expected a folder of images, found: {error.strerror}: {LAYOUT}")


def inside(tree: Tree, path: str) -> str:
    """Go into a folder that holds nothing but one folder of folders, or of a table, as archives repeat their name."""
    folders = tree.folders(path)
    if (
        len(folders) != 1
        or part_of(folders[0])
        or any(map(is_table, files_in(tree, path)))
        or any(images_in(tree, path))
    ):
        return path
    below = join(path, folders[0])
    return below if tree.folders(below) or any(map(is_table, files_in(tree, below))) else path


def images_below(tree: Tree, path: str) -> Iterator[str]:
    """Yield the images in a folder and those below it. Raises DataError."""
    for folder, names in tree.walk(path):
        yield from (found for name in names if tree.is_image(found := join(folder, name)))


def images_in(tree: Tree, path: str) -> Iterator[str]:
    """Yield the images directly in a folder. Raises DataError."""
    return (found for name in files_in(tree, path) if tree.is_image(found := join(path, name)))


def files_in(tree: Tree, path: str) -> list[str]:
    """Names of the files directly in a folder, sorted. Raises DataError."""
    return next(iter(tree.walk(path)))[1]

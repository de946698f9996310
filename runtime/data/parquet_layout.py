"""Which Parquet files are a data set's, and of which part, as Hugging Face's `datasets` and its hub lay them out."""

import os
import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from ..errors import DataError
from ..text import note
from .parts import NAMES, part_of
from .source import is_parquet, is_url, join
from .tree import Folder, Tree, images_in, is_hidden

PATTERNS = ("*.parquet", "*/*.parquet", "*/*/*.parquet")
DATA = "data"  # where the hub has the files of a data set of one configuration
WORDS = re.compile(r"[/._-]")


def is_parquet_data(name: str) -> bool:
    """Whether a data set's name is a Parquet file, a folder of them, or the URL of either."""
    return is_url(name) or is_parquet(name) or (os.path.isdir(name) and bool(_files_below(Path(name))))  # noqa: PTH112


def find_files(source: str) -> dict[str, list[str]]:
    """Sort files into training, validation and test images, by their names and folders.

    Where none is of a part, or none of training, the others are training images.

    source: a file, a folder or a URL.
    Raises DataError where there are several data sets, InputError for a URL without files.
    """
    names = _names(source)
    _refuse_two(source, names)
    found: dict[str, list[str]] = {}
    for inside, name in names.items():
        found.setdefault(_part(inside) or "", []).append(name)
    others = found.pop("", [])
    if "train" not in found and others:
        found["train"], others = others, []
    if others:
        note(f"{source}: {', '.join(Path(name).name for name in others)} left out, which names no part of the data set")
    return {part: found[part] for part in NAMES if part in found}


def _names(source: str) -> dict[str, str]:
    """Find files: path in the data set → path or URL."""
    if is_url(source):
        from .parquet import find_urls

        folder = f"/{source.rstrip('/').rpartition('/')[2]}/"
        return {name.partition(folder)[2] or PurePosixPath(name).name: name for name in find_urls(source)}
    root = Path(source)
    return {inside: str(root / inside) for inside in _files_below(root)} if root.is_dir() else {"": source}


def _files_below(root: Path) -> list[str]:
    names: dict[str, list[str]] = {}
    for path in (path for pattern in PATTERNS for path in root.glob(pattern) if not is_hidden(path.name)):
        names.setdefault(path.parent.relative_to(root).as_posix(), []).append(path.name)
    found = {"" if folder == "." else folder: sorted(files) for folder, files in sorted(names.items())}
    tree = Folder(root)
    return [join(folder, name) for folder, files in found.items() for name in _of_data_set(tree, folder, files)]


def _of_data_set(tree: Tree, folder: str, names: list[str]) -> list[str]:
    """Choose a folder's files: all in a part's folder without images, else those whose names say their part."""
    if folder in ("", DATA):
        return names
    if not _is_listed(tree, folder):
        return []
    if _part(folder.rpartition("/")[2]) and not tree.folders(folder) and not any(images_in(tree, folder)):
        return names
    return [name for name in names if _part(name)]


def _is_listed(tree: Tree, folder: str) -> bool:
    """Whether a folder and those above it are neither hidden, nor lead back up, nor are outputs of `kit`'s own."""
    above, _, name = folder.rpartition("/")
    return name in tree.folders(above) and (not above or _is_listed(tree, above))


def _part(inside: str) -> str | None:
    """Name the part that the last word of a path says, of those that say one."""
    return next(filter(None, map(part_of, reversed(WORDS.split(inside)))), None)


def _refuse_two(source: str, names: Collection[str]) -> None:
    """Refuse several configurations of a data set, as the hub calls its variants."""
    places: dict[str, str] = {}
    for inside in names:
        folders = [folder for folder in PurePosixPath(inside).parts[:-1] if not _part(folder)]
        places.setdefault("" if folders == [DATA] else "/".join(folders), "/".join(folders))
    if len(places) > 1 and any(map(_part, names)):
        found = [f"{source.rstrip('/')}/{place}" if place else f"files in {source} itself" for place in places.values()]
        raise DataError(
            f"{source}: expected one reading, found {len(found)} configurations: {', '.join(sorted(found))}: pass one "
            "of them as --data"
        )

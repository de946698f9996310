"""What a reader of labelled images hands over, and how the name of a data set tells which reader it needs."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..image import Encoded

JSON_LINES = (".jsonl", ".ndjson")
TABLES = (".csv", ".tsv", *JSON_LINES)
ARCHIVES = (".zip", ".tm", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


class Source(Protocol):
    """Encoded images in a fixed order. where: their folder or address, for messages."""

    where: str

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Encoded]: ...

    def name(self, position: int) -> str:
        """Name an image, as no other of them is."""
        ...

    def states(self) -> Iterable[object]:
        """Everything, as JSON, that tells these images from others and from an earlier state of the same."""
        ...


class LabelledSource(Protocol):
    """Encoded images with labels, of a data set's parts, one after the other.

    name: of the data set.
    labels: K class names.
    """

    name: str
    labels: Sequence[str]
    images: Source

    def targets(self, without: Collection[str] = ()) -> dict[str, NDArray[np.int64]]:
        """Targets of each part, int64 [n]: "train", "val" and "test", those that there are, in this order.

        without: names of images to leave out.
        """
        ...


class Files(Sequence[Path]):
    """Files `names` in the folder `root`, as a source."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self.where = str(root)
        self._root, self._names = root, names

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, position: Any) -> Any:
        return self._root / self._names[position]

    def name(self, position: int) -> str:
        """Name a file, relative to the folder."""
        return self._names[position]

    def states(self) -> Iterator[object]:
        """Yield the folder, and the name, size, time and mode of each file."""
        yield str(self._root.resolve())
        for name in self._names:
            yield [name, *file_state(self._root / name)]


def without_some(
    images: Source, targets: Mapping[str, NDArray[np.int64]], names: Collection[str]
) -> dict[str, NDArray[np.int64]]:
    """Targets of each part, int64 [n], without those of the images of these names."""
    if not names:
        return dict(targets)
    kept = np.array([images.name(position) not in names for position in range(len(images))])
    masks = np.split(kept, np.cumsum([len(of_part) for of_part in targets.values()])[:-1])
    return {part: targets[part][mask] for part, mask in zip(targets, masks, strict=True)}


class Rest:
    """The images of a source from the one at `first` on."""

    def __init__(self, source: Source, first: int) -> None:
        self.where, self._source, self._first = source.where, source, first

    def __len__(self) -> int:
        return len(self._source) - self._first

    def __iter__(self) -> Iterator[Encoded]:
        return islice(iter(self._source), self._first, None)

    def name(self, position: int) -> str:
        """Name an image."""
        return self._source.name(self._first + position)

    def states(self) -> Iterable[object]:
        """All that tells the images from others."""
        return self._source.states()


def join(folder: str, name: str) -> str:
    """Path of a file in a folder; "" stands for the folder that all paths are relative to."""
    return f"{folder}/{name}" if folder and name else folder or name


def is_table(name: str) -> bool:
    """Whether a file's name says that it is a table of text."""
    return name.lower().endswith(TABLES)


def is_archive(name: str) -> bool:
    """Whether a file's name says that it is a zip or tar archive."""
    return name.lower().endswith(ARCHIVES)


def is_url(name: str) -> bool:
    """Whether fsspec is to open it."""
    return "://" in name


def is_parquet(name: str) -> bool:
    """Whether a file's name says that it is Parquet."""
    return name.lower().endswith(".parquet")


def path_inside(text: str) -> PurePosixPath | None:
    """Read the path that a table or Parquet has for a file, relative to its own folder; None if it leads out of it."""
    path = PurePosixPath(text.replace("\\", "/"))
    leads_out = path.is_absolute() or not path.parts or ".." in path.parts or ":" in path.parts[0]
    return None if leads_out else path


def file_state(path: Path) -> tuple[int, ...]:
    """Size, time and mode of a file; empty where there is none."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_size, status.st_mtime_ns, status.st_mode

"""What a reader of labelled images hands over, and how the name of a data set tells which reader it needs."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..image import Encoded

PARQUET_FILES = ("*.parquet", "data/*.parquet")  # in a folder; the second is where the Hugging Face hub has them


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
    """Encoded images with labels, of a training part, and of a test part if there is one, one after the other.

    name: of the data set.
    labels: K class names.
    """

    name: str
    labels: Sequence[str]
    images: Source

    def targets(self, without: Collection[str] = ()) -> list[NDArray[np.int64]]:
        """Targets of each part, int64 [n]. Raises DataError where a class has too few images.

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
            yield [name, *_state(self._root / name)]


def is_url(name: str) -> bool:
    """Whether fsspec is to open it."""
    return "://" in name


def is_parquet(name: str) -> bool:
    """Whether a file's name says that it is Parquet."""
    return name.lower().endswith(".parquet")


def is_parquet_data(name: str) -> bool:
    """Whether a data set's name is a Parquet file, a folder of them, or the URL of either."""
    return is_url(name) or is_parquet(name) or any(any(Path(name).glob(pattern)) for pattern in PARQUET_FILES)


def _state(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_size, status.st_mtime_ns, status.st_mode

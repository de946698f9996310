"""Files in a zip or tar archive, read where they are: nothing is unpacked to disk."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..decoding import MAX_FILE_BYTES
from ..errors import DataError, InputError
from ..files import check_regular, reason
from ..image import Encoded
from ..image_files import HEAD_BYTES, is_named_as_image, kind_of
from ..text import note
from .packed import Tar, Zip
from .source import ARCHIVES, Source, file_state, join
from .tree import TAIL, is_output

DAMAGE = (OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)


class Archive:
    """The files in an archive, as a `Tree`. Links in it are left out. Raises DataError.

    Raises it also for names that lead out of the archive, encryption, too many names, and what unpacks to too much.
    """

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self.outputs: list[str] = []
        suffix = next((suffix for suffix in ARCHIVES if path.name.lower().endswith(suffix)), "")
        self.name = path.name[: len(path.name) - len(suffix)].encode(errors="replace").decode() or "archive"
        self._file: Zip | Tar
        with _whole(self.where):
            check_regular(path, "an archive", DataError)
            self._file = Zip(path) if zipfile.is_zipfile(path) else Tar(path)
        self._folders: dict[str, tuple[set[str], list[str]]] = {"": (set(), [])}
        for name in self._file.places:
            self._add(name)
        if self._file.links:
            note(f"{self.where}: {self._file.links:,} links in it are left out")

    def folders(self, path: str) -> list[str]:
        """Names of the folders in a folder, sorted."""
        return sorted(name for name in self._folders[path][0] if not self._is_output(join(path, name)))

    def walk(self, path: str) -> Iterator[tuple[str, list[str]]]:
        """Yield a folder and those below it, each with the sorted names of its files."""
        folders, files = self._folders[path]
        yield path, sorted(files)
        for name in sorted(folders):
            if not self._is_output(join(path, name)):
                yield from self.walk(join(path, name))

    def is_image(self, name: str) -> bool:
        """Whether a file is an image by its name, or by its first bytes."""
        return is_named_as_image(name) or kind_of(self._head(name)) is not None

    def read(self, name: str, limit: int) -> bytes:
        """Read a file, at most one byte more than `limit`. Raises DataError."""
        with _whole(self.where), self._file.opened() as file:
            return file.read(name, limit)

    def in_order(self, images: Sequence[tuple[str, int]]) -> Sequence[tuple[str, int]]:
        """Sort names with their targets as a tar archive has them, which is read from its start."""
        return sorted(images, key=lambda image: self._file.order(image[0]))

    def images(self, names: Sequence[str]) -> Source:
        """Hand over images."""
        return _Images(self.where, self._file, names)

    def _head(self, name: str) -> bytes:
        """First bytes of a file that is not named as an image; of a zip archive all are read at the first call."""
        heads = self._file.heads
        if name not in heads:
            with _whole(self.where), self._file.opened() as file:
                for other in self._file.places:
                    if not is_named_as_image(other):
                        heads[other] = b""
                        with suppress(*DAMAGE):
                            heads[other] = file.read(other, HEAD_BYTES)
        return heads[name]

    def _add(self, name: str) -> None:
        *parents, file = name.split("/")
        path = ""
        for parent in parents:
            self._folders[path][0].add(parent)
            path = join(path, parent)
            self._folders.setdefault(path, (set(), []))
        self._folders[path][1].append(file)

    def _is_output(self, path: str) -> bool:
        found = is_output(self._folders[path][1], lambda name: self.read(join(path, name), MAX_FILE_BYTES)[-TAIL:])
        if found and path not in self.outputs:
            self.outputs.append(path)
        return found


class _Images:
    """Images in an archive, as a `Source`."""

    def __init__(self, where: str, file: Zip | Tar, names: Sequence[str]) -> None:
        self.where, self._file, self._names = where, file, names

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Encoded]:
        with _whole(self.where), self._file.opened() as file:
            for name in self._names:
                try:
                    yield file.read(name, MAX_FILE_BYTES)
                except DAMAGE as error:
                    yield InputError(f"expected an image that can be unpacked, found: {reason(error)}")

    def name(self, position: int) -> str:
        """Name a file, relative to the archive's root."""
        return self._names[position]

    def states(self) -> Iterator[object]:
        """Yield the archive's path, size and time, and the names."""
        yield [str(Path(self.where).resolve()), *file_state(Path(self.where))]
        yield from self._names


@contextmanager
def _whole(where: str) -> Iterator[None]:
    """Turn what damage leads the readers to raise into a DataError."""
    try:
        yield
    except DAMAGE as error:
        raise DataError(
            f"{where}: expected a whole zip or tar archive, found: {reason(error)}: fetch it again"
        ) from None

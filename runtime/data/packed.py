"""Zip and tar files: which files are in them, and their bytes."""

import bz2
import gzip
import lzma
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from ..decoding import MAX_FILE_BYTES
from ..errors import DataError
from ..image_files import HEAD_BYTES, is_named_as_image
from .tree import is_hidden

MAX_NAMES, MAX_DEPTH = 10**6, 32
MAX_UNPACKED, MAX_RATIO = 2**34, 100  # bytes of a whole tar, or so many times its own size
OPENERS: tuple[tuple[bytes, Any], ...] = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ", lzma.open))
BLOCK = 2**20
FILE, LINK = 0o10, 0o12  # kinds in a zip entry's Unix mode


class Zip:
    """A zip archive. places: name → entry. heads: name → first bytes, of some. links: how many there are."""

    def __init__(self, path: Path) -> None:
        self._path, self.links = path, 0
        self.places: dict[str, zipfile.ZipInfo] = {}
        self.heads: dict[str, bytes] = {}
        with zipfile.ZipFile(path) as file:
            for entry in file.infolist():
                kind = entry.external_attr >> 28
                if entry.flag_bits & 1:
                    raise DataError(f"{path}: expected an archive without a password, found one: unpack it by hand")
                self.links += kind == LINK
                if kind in (0, FILE) and not entry.is_dir():
                    _put(path, self.places, _as_utf8(entry), entry)

    def order(self, _: str) -> int:
        """Where a file comes: its place in the archive does not matter."""
        return 0

    @contextmanager
    def opened(self) -> Iterator["ZipReader"]:
        """Open it to read files."""
        with zipfile.ZipFile(self._path) as file:
            yield ZipReader(file, self.places)


class ZipReader:
    """An open zip archive."""

    def __init__(self, file: zipfile.ZipFile, places: dict[str, zipfile.ZipInfo]) -> None:
        self._file, self._places = file, places

    def read(self, name: str, limit: int) -> bytes:
        """Read a file, at most one byte more than `limit`."""
        with self._file.open(_place(self._places, name)) as file:
            return file.read(limit + 1)


class Tar:
    """A tar archive, compressed or not.

    places: name → where its bytes begin, and how many there are.
    heads: name → first bytes, of files that are not named as images.
    links: how many there are.
    """

    def __init__(self, path: Path) -> None:
        self._path, self.links = path, 0
        self.places: dict[str, tuple[int, int]] = {}
        self.heads: dict[str, bytes] = {}
        allowed = max(MAX_UNPACKED, MAX_RATIO * path.stat().st_size)
        with self._stream() as stream, tarfile.open(fileobj=stream, mode="r:", errors="surrogateescape") as file:
            for member in file:
                vars(file)["members"] = []  # it would keep all that it has met
                if member.offset_data + member.size > allowed:
                    message = f"at most {allowed:,} bytes in all, found more: leave out what is not an image"
                    raise DataError(f"{path}: expected {message}")
                self.links += member.issym() or member.islnk()
                if member.isreg() and member.sparse is None:
                    name = _put(path, self.places, member.name, (member.offset_data, member.size))
                    if not is_named_as_image(name):
                        stream.seek(member.offset_data)
                        self.heads[name] = stream.read(min(member.size, HEAD_BYTES))
            _read_to_its_checksum(stream, allowed)

    def order(self, name: str) -> int:
        """Where a file's bytes begin."""
        return self.places[name][0] if name in self.places else 0

    @contextmanager
    def opened(self) -> Iterator["TarReader"]:
        """Open it to read files."""
        with self._stream() as stream:
            yield TarReader(stream, self.places)

    @contextmanager
    def _stream(self) -> Iterator[Any]:
        with self._path.open("rb") as raw:
            start = raw.read(6)
            raw.seek(0)
            opener = next((opener for magic, opener in OPENERS if start.startswith(magic)), None)
            if opener is None:
                yield _Bounded(raw)
                return
            with opener(raw) as unpacked:
                yield _Bounded(unpacked)


def _read_to_its_checksum(stream: "_Bounded", allowed: int) -> None:
    """Read what is left: gzip has a checksum at its end alone."""
    while stream.tell() <= allowed and stream.read(BLOCK):
        pass


class TarReader:
    """An open tar archive."""

    def __init__(self, stream: "_Bounded", places: dict[str, tuple[int, int]]) -> None:
        self._stream, self._places = stream, places

    def read(self, name: str, limit: int) -> bytes:
        """Read a file, at most one byte more than `limit`."""
        start, size = _place(self._places, name)
        self._stream.seek(start)
        found = self._stream.read(min(size, limit + 1))
        if len(found) < min(size, limit + 1):
            raise EOFError("the archive ends before it")
        return found


class _Bounded:
    """A stream that refuses to read much at once, as a header of a false size would ask for."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MAX_FILE_BYTES + 1:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._stream.read(size)


def _as_utf8(entry: zipfile.ZipInfo) -> str:
    """The entry's name; some programs write UTF-8 without saying so."""
    if entry.flag_bits & 0x800:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode()
    except ValueError:
        return entry.filename


def _put(path: Path, places: dict[str, Any], name: str, place: object) -> str:
    """Enter a visible file; return its path in the archive. Raises DataError for a name that leads out of it."""
    name = name.replace("\\", "/").removeprefix("./")
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or ":" in parts[0] or "\0" in name or len(parts) > MAX_DEPTH:
        raise DataError(f"{path}: expected names inside the archive, found {name[:80]!r}: pack it anew")
    inside = "/".join(parts)
    if not any(map(is_hidden, parts)):
        places[inside] = place
    if len(places) > MAX_NAMES:
        raise DataError(f"{path}: expected at most {MAX_NAMES:,} files, found more: divide it")
    return inside


def _place(places: dict[str, Any], name: str) -> Any:
    if name not in places:
        raise FileNotFoundError(f"no file {name}")
    return places[name]

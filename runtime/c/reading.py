"""Reads a model in C again: the folder or the Arduino library that `kit export` wrote."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ..artefact import EXTRA_FILE, Metadata, from_text
from ..errors import ArtefactError
from ..files import check_regular, read_at_most, reason
from ..origin import raised_by

ABOUT = "c"  # the entry of kit.json that is of C alone
LIBRARY, README = ".arduino.zip", "README.md"
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
LARGEST, LARGEST_JSON = 2**30, 2**26  # bytes of a file, and of kit.json
Read = Callable[[str], bytes]  # a file by its name


class Source(NamedTuple):
    """A model in C.

    name: prefix of its symbols, and of its files.
    files: NAME.c and NAME.h, by name.
    frame: width and height of a camera's frames; None where it takes none.
    size: bytes of all files.
    """

    name: str
    files: dict[str, bytes]
    metadata: Metadata
    frame: tuple[int, int] | None
    size: int


def is_source(path: Path) -> bool:
    """Whether a path is that of a model in C: a folder with its kit.json, or a library."""
    named = path.name.lower().endswith(LIBRARY)
    return named or os.path.isfile(path / EXTRA_FILE)  # noqa: PTH113 - Path raises for a name that is too long


def read_source(path: Path) -> Source:
    """Read a folder or a library. Raises ArtefactError."""
    try:
        read, size = _of_folder(path) if path.is_dir() else _of_library(path)
        document = read(EXTRA_FILE)
        about = json.loads(document)[ABOUT]
        name, frame = about["name"], about["frame"]
        if not NAME.fullmatch(name) or (frame is not None and [type(side) for side in frame] != [int, int]):
            raise ValueError(f"{ABOUT!r} in {EXTRA_FILE}")
        files = {file: read(file) for file in (f"{name}.c", f"{name}.h")}
    except Exception as error:  # zip files raise many types
        if not (isinstance(error, ArtefactError) or raised_by(error)):
            raise
        said = f"no {error.args[0]}" if isinstance(error, KeyError) and error.args else reason(error)
        raise ArtefactError(
            f"{path}: expected a folder or a library that `kit export --format c` wrote, found: {said}: export it again"
        ) from None
    metadata = from_text(document)
    others = {name: value for name, value in metadata.others.items() if name != ABOUT}
    metadata = metadata._replace(others=MappingProxyType(others))
    return Source(name, files, metadata, frame and (frame[0], frame[1]), size)


def _of_folder(path: Path) -> tuple[Read, int]:
    def read(name: str) -> bytes:
        file = path / name
        if not file.is_file():
            raise KeyError(name)
        return read_at_most(file, check_regular(file, "a file", ArtefactError), _limit(name))

    return read, sum(file.stat().st_size for file in path.iterdir() if file.is_file())


def _of_library(path: Path) -> tuple[Read, int]:
    size = check_regular(path, "a library", ArtefactError, limit=LARGEST)
    library = zipfile.ZipFile(io.BytesIO(read_at_most(path, size, LARGEST)))
    members = {member.filename.rpartition("/")[2]: member for member in library.infolist()}

    def read(name: str) -> bytes:
        member = members[name]
        if member.file_size > _limit(name):
            raise ValueError(f"{name} of {member.file_size:,} bytes")
        return library.read(member)

    return read, sum(member.file_size for member in members.values())


def _limit(name: str) -> int:
    """Bytes that a file may have."""
    return LARGEST_JSON if name == EXTRA_FILE else LARGEST


def files_in(path: Path) -> list[str]:
    """Names of the files that an export has written to a folder; none where there is no such folder."""
    try:
        name = read_source(path).name
    except ArtefactError:
        return []
    return [f"{name}.c", f"{name}.h", README, EXTRA_FILE]


def about(name: str, frame: tuple[int, int] | None) -> dict[str, Any]:
    """The entry of kit.json."""
    return {ABOUT: {"name": name, "frame": frame and list(frame)}}

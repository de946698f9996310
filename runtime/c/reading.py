"""Reads a model in C again: the folder or the Arduino library that `kit export` wrote."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ..artefact import EXTRA_FILE, Metadata, from_text
from ..errors import ArtefactError
from ..files import read_at_most, reason
from ..origin import raised_by

ABOUT = "c"  # the entry of kit.json that is of C alone
LIBRARY, README = ".arduino.zip", "README.md"
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
LARGEST = 2**28  # bytes of a file


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
        found = _of_folder(path) if path.is_dir() else _of_library(path)
        document = found[EXTRA_FILE]
        about = json.loads(document)[ABOUT]
        name, frame = about["name"], about["frame"]
        if not NAME.fullmatch(name) or (frame is not None and [type(side) for side in frame] != [int, int]):
            raise ValueError(f"{ABOUT!r} in {EXTRA_FILE}")
        files = {file: found[file] for file in (f"{name}.c", f"{name}.h")}
    except (ArtefactError, OSError, ValueError, KeyError, TypeError, RecursionError, zipfile.BadZipFile) as error:
        if not raised_by(error, "zipfile"):
            raise
        said = f"no {error.args[0]}" if isinstance(error, KeyError) and error.args else reason(error)
        raise ArtefactError(
            f"{path}: expected a folder or a library that `kit export --format c` wrote, found: {said}: export it again"
        ) from None
    metadata = from_text(document)
    others = {name: value for name, value in metadata.others.items() if name != ABOUT}
    metadata = metadata._replace(others=MappingProxyType(others))
    return Source(name, files, metadata, frame and (frame[0], frame[1]), sum(map(len, found.values())))


def _of_folder(path: Path) -> dict[str, bytes]:
    return {file.name: read_at_most(file, file.stat().st_size, LARGEST) for file in path.iterdir() if file.is_file()}


def _of_library(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(read_at_most(path, path.stat().st_size, LARGEST))) as library:
        found = {}
        for member in library.infolist():
            if member.file_size > LARGEST:
                raise ValueError(f"{member.filename} of {member.file_size:,} bytes")
            found[member.filename.rpartition("/")[2]] = library.read(member)
        return found


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

"""Writing files whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import TrainerError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name beside `path` to write to; at the end of the block that file takes the place of `path`.

    Where the block fails, `path` stays as it was and nothing else is left. Makes the folder. Raises TrainerError where
    the disk is full or the place cannot be written to.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        part.touch(exist_ok=False)  # ours, not what a link of that name leads to
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise TrainerError(
            f"{path}: expected a place to write to, found: {error.strerror}: free some space or choose another folder"
        ) from None
    finally:
        _discard(part)


def discard_parts(folder: Path) -> None:
    """Remove what a process that was killed while it wrote into `folder` has left there."""
    with suppress(OSError):  # where the folder cannot be had, writing says so
        for part in folder.glob(".*.part"):
            _discard(part)


def write_atomic(path: Path, data: bytes) -> None:
    """Replace `path` with `data`, or leave it as it was. Makes the folder. Raises TrainerError."""
    with replacing(path) as part:
        part.write_bytes(data)


def _discard(part: Path) -> None:
    try:
        part.unlink(missing_ok=True)
    except OSError:
        return  # the folder itself cannot be had, so there is nothing in it

"""Files: read only where they are ordinary ones, and written whole or not at all.

`pathlib` is imported only by the functions that need it, as a cold start takes 10 ms for it.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias

from .errors import KitError
from .text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

FilePath: TypeAlias = "str | os.PathLike[str]"

STANDARD_OUTPUT = "-"
LOCK = ".lock"


def check_regular(
    path: FilePath, subject: str, error: type[KitError], *, limit: int | None = None, remedy: str = "name a file"
) -> int:
    """Refuse a device, a pipe, a socket or a file that is too large; a folder passes, since opening it fails at once.

    subject: what was expected, for the message: "an artefact".
    error: what to raise.
    limit: bytes, shown in GB; None for any size.
    remedy: what to do instead of naming a device.
    Returns the size in bytes. Raises `error`, and OSError and ValueError where there is no such file.
    """
    about = os.stat(path)  # noqa: PTH116 - as said above
    if not stat.S_ISREG(about.st_mode) and not stat.S_ISDIR(about.st_mode):  # opening a pipe may wait for ever
        raise error(f"{path}: expected {subject}, found a device or a pipe: {remedy}")
    if limit is not None and about.st_size > limit:
        raise error(f"{path}: expected {subject} of at most {limit >> 30} GB, found a larger file")
    return about.st_size


def read_at_most(path: FilePath, size: int, limit: int) -> bytes:
    """Read a file of about `size` bytes, no more than `limit` + 1 of them. Raises OSError."""
    with open(path, "rb") as file:  # noqa: PTH123 - as said above
        data = file.read(min(size, limit) + 1)  # Python allocates as much as is asked for
        if size < len(data) <= limit:
            data += file.read(limit + 1 - len(data))
    return data


def reason(error: BaseException) -> str:
    """Say in one line why a file cannot be read, without its name."""
    return one_line(getattr(error, "strerror", None) or error)


@contextmanager
def writable(path: FilePath, error: type[KitError] = KitError) -> Iterator[None]:
    """Raise `error` where the system refuses to write to `path` inside the block, as when the disk is full."""
    try:
        yield
    except OSError as cause:
        raise error(
            f"{path}: expected a place to write to, found: {cause.strerror}: free some space or choose another folder"
        ) from None


def check_target(path: FilePath, error: type[KitError] = KitError, inputs: Iterable[FilePath] = ()) -> None:
    """Refuse a place where no file may be written: a folder, a device, a pipe, a socket, or as `check_name` says.

    A link passes, whatever it leads to, as it is itself replaced; but not one that leads to an input.
    """
    check_name(path, error, inputs)
    with writable(path, error), suppress(FileNotFoundError):
        mode = os.lstat(path).st_mode
        if stat.S_ISDIR(mode):
            raise error(f"{path}: expected a place to write to, found: {os.strerror(errno.EISDIR)}: name a file")
        if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
            raise error(f"{path}: expected a place to write to, found a device or a pipe: name a file")


def check_name(path: FilePath, error: type[KitError], inputs: Iterable[FilePath]) -> None:
    """Refuse to write a file or a folder that is called "-", or that is one of `inputs`, under any of its names.

    error: what to raise.
    inputs: files and folders that are read; names of other things are ignored.
    """
    if str(path) == STANDARD_OUTPUT:
        raise error(f"{path}: expected a place to write to, found the name of standard output: name another")
    for source in inputs:
        with suppress(OSError, ValueError):  # where either does not exist they differ
            if os.path.samefile(path, source):  # noqa: PTH121 - as said above
                raise error(f"{path}: expected a place to write to, found what is read, {source}: name another")


@contextmanager
def replacing(path: Path, error: type[KitError] = KitError) -> Iterator[Path]:
    """Give a name beside `path` to write to; at the end of the block that file takes the place of `path`.

    Where the block fails, `path` stays as it was and nothing else is left. Makes the folder. Raises `error` where the
    disk is full or the place cannot be written to, as `check_target` says.
    """
    check_target(path, error)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with writable(path, error):
            path.parent.mkdir(parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            part.touch(exist_ok=False)  # a new file, not what a link of that name leads to
            yield part
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(path)
    finally:
        with suppress(OSError):  # a folder that cannot be read holds no such file
            part.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes, error: type[KitError] = KitError) -> None:
    """Replace `path` with `data`, or leave it as it was. Makes the folder. Raises `error`."""
    with replacing(path, error) as part:
        part.write_bytes(data)


@contextmanager
def replacing_folder(path: Path, names: Iterable[str], error: type[KitError] = KitError) -> Iterator[Path]:
    """Give the name of an empty folder beside `path`; at the end of the block it takes the place of `path`.

    names: relative paths of the files that may lie in the folder that is there now; with any others it is not replaced.
    Where the block fails, `path` stays as it was and nothing else is left. Raises `error`.
    """
    import shutil

    check_folder(path, names, error)
    part, old = (path.with_name(f".{path.name}.{os.getpid()}.{kind}.part") for kind in ("new", "old"))
    try:
        with writable(path, error):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            yield part
            if path.exists():
                path.rename(old)
            part.rename(path)
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
        for folder in (part, old):
            shutil.rmtree(folder, ignore_errors=True)


def check_folder(path: Path, names: Iterable[str], error: type[KitError], inputs: Iterable[FilePath] = ()) -> None:
    """Refuse to replace what is no folder, or one with other files than `names`, relative paths."""
    check_name(path, error, inputs)
    with writable(path, error), suppress(FileNotFoundError):
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise error(f"{path}: expected a folder to write to, found something else: name another")
        found = {file.relative_to(path).as_posix() for file in path.rglob("*") if not file.is_dir()}
        if others := sorted(found - set(names)):
            raise error(
                f"{path}: expected a folder of an earlier export, or a new one, found {one_line(others[0])} in it: "
                "name another"
            )


@contextmanager
def locked(folder: Path, error: type[KitError], remedy: str) -> Iterator[None]:
    """Keep other processes from writing to `folder` inside the block; those that only read are not affected.

    The system ends the lock with the process, however that dies; processes that it has started do not inherit it. Makes
    the folder, and removes it where it is still empty at the end. A file system that has no locks is gone on without.
    Raises `error` where another process holds the lock, with what to do, `remedy`, or where nothing can be written.
    """
    made = [place for place in (folder, *folder.parents) if not os.path.lexists(place)]
    lock = folder / LOCK
    try:
        with writable(folder, error):
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = _open_locked(lock)
        if descriptor is None:
            raise error(f"{folder}: expected a folder that nobody else writes to, found another process: {remedy}")
        try:
            yield
        finally:
            with suppress(OSError):  # Windows keeps a file that is open
                lock.unlink()
            os.close(descriptor)
    finally:
        for place in made:
            with suppress(OSError):  # it is not empty
                place.rmdir()


def _open_locked(lock: Path) -> int | None:
    """Open the file `lock` and lock it; None where another process has done so."""
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            _lock(descriptor)
        except (BlockingIOError, PermissionError):
            os.close(descriptor)
            return None
        except OSError:  # the file system has no locks
            return descriptor
        with suppress(FileNotFoundError):  # whoever held the lock has just removed the file
            if os.path.samestat(os.fstat(descriptor), os.stat(lock)):  # noqa: PTH116 - as said above
                return descriptor
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Lock a file for this process, not for those that it forks. Raises OSError at once where that is not possible."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def discard_parts(folder: Path) -> None:
    """Remove the unfinished files that a killed process has left in `folder`."""
    with suppress(OSError):  # a folder that cannot be read is reported when it is written to
        for part in folder.glob(".*.part"):
            with suppress(OSError):  # as of a folder
                part.unlink(missing_ok=True)

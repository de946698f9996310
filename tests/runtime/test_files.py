"""Only ordinary files are read; files are replaced whole or not at all."""

import errno
import os
import re
import socket
import stat
from pathlib import Path

import pytest

from runtime import InputError, KitError
from runtime.files import (
    _lock,
    check_regular,
    check_target,
    discard_parts,
    locked,
    read_at_most,
    replacing,
    write_atomic,
)
from tests.interpreter import run_python


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def _write_half(path: Path) -> None:
    with replacing(path) as part:
        part.write_bytes(b"half")
        raise ZeroDivisionError


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError):
        _write_half(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(KitError, match=r"file/below: expected a place to write to, found: (Not a dir|File exists)"):
        write_atomic(tmp_path / "file" / "below", b"data")
    (tmp_path / "folder").mkdir()
    with pytest.raises(KitError, match="folder: expected a place to write to, found: Is a directory"):
        write_atomic(tmp_path / "folder", b"data")


@pytest.mark.spawns
def test_a_full_disk(tmp_path: Path) -> None:
    """A limit on the size of files stops the writing half way, as a full disk does."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    code = """
import resource, signal
from pathlib import Path
from runtime import KitError
from runtime.files import write_atomic
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomic(Path(sys.argv[1]), bytes(10_000))
except KitError as error:
    print(error)
"""
    result = run_python(code, path)
    assert result.stdout == (
        f"{path}: expected a place to write to, found: File too large: free some space or choose another folder\n"
    ), result.stderr
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_unfinished_files_are_discarded(tmp_path: Path) -> None:
    (tmp_path / ".a.1.part").mkdir()
    for name in (".b.2.part", "c.part", ".d"):
        (tmp_path / name).touch()
    discard_parts(tmp_path)
    discard_parts(tmp_path / "absent")
    assert {path.name for path in tmp_path.iterdir()} == {".a.1.part", "c.part", ".d"}


HOLD = """
from pathlib import Path
from runtime import KitError
from runtime.files import locked
try:
    with locked(Path(sys.argv[1]), KitError, "wait"):
        print("held")
except KitError as error:
    print(error)
"""


@pytest.mark.spawns
def test_a_folder_is_locked_for_one_process(tmp_path: Path) -> None:
    """A file that a killed process has left is no lock; one that this process has forked holds none."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / ".lock").touch()
    refused = f"{folder}: expected a folder that nobody else writes to, found another process: wait\n"
    with locked(folder, KitError, "wait"):
        assert run_python(HOLD, folder).stdout == refused
        assert run_python(HOLD, tmp_path).stdout == "held\n"
    assert list(folder.iterdir()) == []
    assert run_python(HOLD, folder).stdout == "held\n"


def test_a_lock_makes_the_folder_and_leaves_none_that_is_empty(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "below"
    with locked(folder, KitError, "wait"):
        assert [path.name for path in folder.iterdir()] == [".lock"]
    assert list(tmp_path.iterdir()) == []
    with locked(folder, KitError, "wait"):
        (folder / "result").touch()
    assert [path.name for path in folder.iterdir()] == ["result"]
    with locked(tmp_path / "new", KitError, "wait"):
        (folder / "result").unlink()
    assert list((tmp_path / "new").iterdir()) == [folder]


def test_a_lock_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place that cannot be written to is refused, also by way of a link; a file system without locks is not."""
    (tmp_path / "file").touch()
    (tmp_path / ".lock").symlink_to("elsewhere")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", tmp_path):
        with pytest.raises(InputError, match=": expected a place to write to, found: "), locked(folder, InputError, ""):
            pytest.fail("it was locked")
    assert not (tmp_path / "elsewhere").exists()
    (tmp_path / ".lock").unlink()

    def no_locks(_descriptor: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("runtime.files._lock", no_locks)
    with locked(tmp_path, InputError, "wait"):
        assert (tmp_path / ".lock").exists()


def test_a_lock_whose_file_has_just_been_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever held it removes the file between the opening and the locking: it is opened anew."""
    lock, seen = _lock, []

    def removed_first(descriptor: int) -> None:
        seen.append(descriptor)
        if len(seen) == 1:
            (tmp_path / ".lock").unlink()
        lock(descriptor)

    monkeypatch.setattr("runtime.files._lock", removed_first)
    with locked(tmp_path, KitError, "wait"):
        assert len(seen) == 2
        assert (tmp_path / ".lock").exists()


def make_device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except OSError as error:
        pytest.skip(f"a device cannot be made here ({error})")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("null", "a device or a pipe"),
        ("pipe", "a device or a pipe"),
        ("socket", "a device or a pipe"),
        ("folder", "Is a directory"),
        ("", "Is a directory"),
        ("..", "Is a directory"),
        ("-", "the name of standard output"),
        ("pipe/below", "Not a directory"),
        ("x" * 300, "File name too long"),
    ],
)
def test_what_is_not_replaced(name: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device is one of the test's own: a failure would replace it, and a machine needs its /dev/null."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("folder").mkdir()
    if name == "null":
        make_device(Path(name))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        before = {path: path.lstat().st_ino for path in tmp_path.iterdir()}
        with pytest.raises(KitError, match=rf": expected a place to write to, found:? {found}: "):
            write_atomic(Path(name), b"data")
    assert {path: path.lstat().st_ino for path in tmp_path.iterdir()} == before


def test_a_link_is_replaced_whatever_it_leads_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for target in ("pipe", ".", "nowhere", "link"):
        (tmp_path / "link").symlink_to(target)
        write_atomic(tmp_path / "link", b"data")
        assert (tmp_path / "link").read_bytes() == b"data"
        (tmp_path / "link").unlink()
    assert (tmp_path / "pipe").is_fifo()


def test_an_input_is_not_replaced_under_any_name(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"only copy")
    (tmp_path / "link").symlink_to("source")
    (tmp_path / "hard").hardlink_to(source)
    (tmp_path / "here").symlink_to(".")
    for name in ("source", "link", "hard", "here/source"):
        message = f"{tmp_path / name}: expected a place to write to, found what is read, {source}: name another"
        with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
            check_target(tmp_path / name, InputError, ["digits", source])
    with pytest.raises(KitError, match="found what is read"):
        check_target(source, KitError, [tmp_path / "link"])
    check_target(tmp_path / "other", KitError, [source, tmp_path / "other"])


@pytest.mark.parametrize("kind", ["device", "pipe", "socket"])
def test_what_may_never_end_is_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("/dev/zero") if kind == "device" else Path(kind)
    if kind == "pipe":
        os.mkfifo(path)
    with socket.socket(socket.AF_UNIX) as server:
        if kind == "socket":
            server.bind(str(path))
        message = f"{path}: expected a thing, found a device or a pipe: name a file"
        with pytest.raises(InputError, match=rf"^{re.escape(message)}$"):
            check_regular(path, "a thing", InputError)


def test_a_file_of_bounded_size(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert check_regular(path, "a thing", KitError, limit=5) == 5
    with pytest.raises(KitError, match=r"file: expected a thing of at most 0 GB, found a larger file$"):
        check_regular(path, "a thing", KitError, limit=4)
    assert check_regular(tmp_path, "a thing", KitError)
    assert [read_at_most(path, size, limit) for size, limit in ((5, 9), (0, 9), (5, 3), (1, 3))] == [
        b"12345", b"12345", b"1234", b"1234",
    ]  # fmt: skip

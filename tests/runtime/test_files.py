"""Files are replaced whole or not at all."""

from pathlib import Path

import pytest

from runtime import KitError
from runtime.files import replacing, write_atomic
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

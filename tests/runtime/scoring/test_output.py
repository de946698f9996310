"""Where `kit classify --output` writes: whole or not at all."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from runtime.errors import ScoringError
from runtime.scoring.output import writing
from runtime.scoring.scorer import schema
from tests.interpreter import UNMEASURED, Kit, run_python
from tests.runtime.predicted import read


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda path: (path.mkdir(), (path / "x").touch()), "one with files: name another, or remove them"),
        (lambda path: path.touch(), "a file: name another"),
        (lambda path: path.symlink_to("nowhere"), "a file: name another"),
    ],
)
def test_an_output_that_is_there(run_kit: Kit, photos: Path, make: Callable[[Path], object], found: str) -> None:
    """Refused before any work, even before the model is read."""
    make(Path("out"))
    result = run_kit("classify", photos, "--model", "no.onnx", "--output", "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"kit: out: expected a new or an empty folder for the predictions, found {found}\n"


@pytest.mark.spawns
def test_an_empty_output_and_one_in_a_file(run_kit: Kit, model: Path, photos: Path) -> None:
    Path("out").mkdir()
    assert run_kit("classify", photos, "--model", model, "--output", "out").exit_code == 0
    assert len(read(Path("out"))) == 30
    result = run_kit("classify", photos, "--model", model, "--output", "photos/00.png/out")
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "kit: photos/00.png/out: expected a place to write to, found: Not a directory: free"
    )


@pytest.mark.spawns
def test_what_a_killed_run_has_left_is_removed(run_kit: Kit, model: Path, photos: Path) -> None:
    Path(".out.part").mkdir()
    Path(".out.part/part-00000.parquet").write_bytes(b"half")
    Path(".out.part/part-00007.parquet").write_bytes(b"half")
    assert run_kit("classify", photos, "--model", model, "--output", "out").exit_code == 0
    assert len(read(Path("out"))) == 30


def test_a_link_where_the_folder_is_begun_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tmp_path / ".out.part").symlink_to("precious")
    with writing(tmp_path / "out", schema()):
        pass
    assert [path.name for path in (tmp_path / "precious").iterdir()] == ["file"]
    assert not (tmp_path / "out").is_symlink()


def test_two_runs_do_not_write_to_the_same_place(tmp_path: Path) -> None:
    with writing(tmp_path / "out", schema()):
        with pytest.raises(ScoringError, match="out: expected to write alone, found another run at it"):
            writing(tmp_path / "out", schema()).__enter__()
        assert (tmp_path / ".out.part").is_dir()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["part-00000.parquet"]


@pytest.mark.spawns
def test_parts_are_of_bounded_size(run_kit: Kit, model: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.scoring.output.PART_ROWS", 10)
    monkeypatch.setattr("runtime.batches.BLOCK_IMAGES", 4)
    assert run_kit("classify", photos, "--model", model, "--output", "out").exit_code == 0
    assert [pq.read_metadata(part).num_rows for part in sorted(Path("out").iterdir())] == [12, 12, 6]
    assert len(read(Path("out"))) == 30


@pytest.mark.spawns
def test_a_full_disk(model: Path, photos: Path) -> None:
    """A limit on the size of files stops the writing half way, as a full disk does."""
    code = """
import resource, signal
import kit
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
kit.main(['classify', *sys.argv[1:]])
"""
    result = run_python(code, "photos", "--model", model, "--output", "out", cwd=photos.parent, environment=UNMEASURED)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "kit: out: expected a place to write to, found: File too large: free some space or choose another folder\n"
    )
    assert [path.name for path in photos.parent.iterdir()] == ["photos"]

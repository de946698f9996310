"""Who scores many images: processes that may die, or Ray; and Ctrl-C."""

import multiprocessing
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import runtime
from export import export
from runtime.errors import ScoringError
from runtime.scoring.inputs import Chunk, find_chunks
from runtime.scoring.score import local
from runtime.scoring.scorer import Scored, Scorer
from tests.interpreter import UNMEASURED, Kit, run_python
from tests.runtime.mortal import Mortal
from tests.runtime.predicted import damaged, png, read, write_images
from trainer import Dataset, FitConfig, fit

ROOT = Path(__file__).parents[2]


def scored(answers: Iterator[Scored]) -> list[dict[str, Any]]:
    return [row for answer in answers for row in answer.table.to_pylist()]


@pytest.fixture
def small_chunks(photos: Path, monkeypatch: pytest.MonkeyPatch) -> list[Chunk]:
    monkeypatch.chdir(photos.parent)
    return find_chunks(["photos"], size=2)


def test_a_killed_process_loses_and_doubles_nothing(model: Path, small_chunks: list[Chunk]) -> None:
    scorer = Scorer(runtime.load(model))
    undisturbed = scored(local(scorer, small_chunks, 2))
    assert len(undisturbed) == 30
    run = local(scorer, small_chunks, 2)
    found = scored(iter([next(run), next(run)]))
    for process in multiprocessing.active_children():
        process.kill()
    assert found + scored(run) == undisturbed


def test_a_process_that_dies_again_and_again(model: Path, small_chunks: list[Chunk], tmp_path: Path) -> None:
    lives = tmp_path / "lives"
    lives.mkdir()
    for number in range(2):
        (lives / str(number)).touch()
    scorer = Mortal(runtime.load(model), "photos/05.png", lives)
    assert len(scored(local(scorer, small_chunks, 1))) == 30
    for number in range(3):
        (lives / str(number)).touch()
    message = (
        "expected processes that last, found 3 die one after the other, perhaps for want of memory, at photos/04.png "
        "or soon after: free some, use fewer --workers, or leave it out"
    )
    with pytest.raises(ScoringError, match=rf"^{re.escape(message)}$"):
        scored(local(scorer, small_chunks, 1))
    assert multiprocessing.active_children() == []


def start(folder: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    """Start the command as a terminal would: it hears Ctrl-C, even where these tests run in the background."""
    code = "import signal\nimport kit\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nkit.main()"
    command = [sys.executable, "-c", code, "classify", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=folder, env={**os.environ, **UNMEASURED}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_an_interrupted_run(
    model: Path, encoded: list[bytes], tmp_path: Path, sent: signal.Signals, status: int
) -> None:
    """Ctrl-C reaches every process of the terminal. The call returns once all that share its output have ended."""
    images = [encoded[number % len(encoded)] for number in range(40_000)]
    write_images(tmp_path / "images.parquet", list(images), group=1000)
    process = start(tmp_path, "images.parquet", "--model", model, "--output", "out", "--workers", "2")
    while not (tmp_path / ".out.part").exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(1)
    os.killpg(process.pid, sent) if sent == signal.SIGINT else process.send_signal(sent)
    started = time.monotonic()
    out, error = process.communicate(timeout=60)
    assert time.monotonic() - started < 10
    assert (process.returncode, out) == (status, "")
    if sent == signal.SIGINT:
        assert error == "kit: interrupted: out is not written\n"
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"images.parquet"} | ({".out.part"} if sent == signal.SIGKILL else set())


def test_progress_on_a_terminal(model: Path, encoded: list[bytes], tmp_path: Path) -> None:
    write_images(tmp_path / "images.parquet", [encoded[number % len(encoded)] for number in range(3000)])
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "kit", "classify", "images.parquet", "--model", str(model), "--output", "out"]
    done = subprocess.run(command, cwd=tmp_path, stderr=follower, stdout=subprocess.PIPE, timeout=120, check=True)
    os.close(follower)
    shown = os.read(leader, 1_000_000).decode()
    os.close(leader)
    assert " of 3,000 images, " in shown
    assert shown.endswith("\r\x1b[K")
    assert done.stdout.startswith(b"wrote out: 3,000 images, 0 errors, ")


def test_a_row_group_that_is_damaged(run_kit: Kit, model: Path, encoded: list[bytes]) -> None:
    """It shows itself in the middle of the run."""
    path = write_images(Path("images.parquet"), list(encoded[:300]), group=10)
    damaged(path, pq.read_metadata(path).row_group(20).column(0).data_page_offset)
    result = run_kit("classify", path, "--model", model, "--output", "out", "--workers", "1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("kit: images.parquet: expected Parquet that can be read, found: ")
    assert result.stderr.count("\n") == 1
    assert list(Path().iterdir()) == [path]
    assert multiprocessing.active_children() == []


@pytest.fixture(scope="module")
def many(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, model: Path) -> tuple[Path, Path]:
    """10,000 images in Parquet, 50 of them corrupt, and a model for them: of Fashion-MNIST where it is."""
    folder = tmp_path_factory.mktemp("many")
    try:
        fashion: Dataset = request.getfixturevalue("fashion")
    except pytest.skip.Exception:
        images = np.random.default_rng(0).integers(0, 256, (10_000, 8, 8), np.uint8)
    else:
        images = fashion.test.images.numpy()
        checkpoint = fit(fashion, FitConfig(epochs=1, device="cpu")).checkpoint
        model = export(checkpoint, "onnx", folder / "model.onnx").path
    data: list[bytes | None] = [png(pixels) for pixels in images]
    for number in np.random.default_rng(1).choice(len(data), 50, replace=False).tolist():
        data[number] = [b"", b"no image", (data[number] or b"")[:80], None][number % 4]
    assert len(data) == 10_000
    return write_images(folder / "images.parquet", data), model


@pytest.fixture(scope="module")
def by_local(many: tuple[Path, Path]) -> list[dict[str, Any]]:
    images, model = many
    process = start(images.parent, images, "--model", model, "--output", "local")
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    rows = read(images.parent / "local")
    assert [row["row"] for row in rows] == list(range(10_000))
    assert sum(row["error"] is not None for row in rows) == 50
    return rows


@pytest.mark.slow
def test_ray_gives_the_same_rows(many: tuple[Path, Path], by_local: list[dict[str, Any]]) -> None:
    """And says nothing of its own."""
    images, model = many
    process = start(images.parent, images, "--model", model, "--output", "ray", "--engine", "ray", "--workers", "2")
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert out.startswith("wrote ray: 10,000 images, 50 errors, ")
    assert error.startswith("kit: 50 of 10,000 images cannot be read: ")
    assert error.count("\n") == 1
    assert read(images.parent / "ray") == by_local


KILLING = """
import os, signal, time
from pathlib import Path
import runtime
from runtime.scoring.score import score_all

def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

def is_ours(pid):
    while pid > 1 and pid != os.getpid():
        pid = parent(pid)
    return pid == os.getpid()

def actors():
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_bytes().startswith(b"ray::MapWorker") and is_ours(int(folder.name)):
                yield int(folder.name)
        except OSError:
            continue

killed = []
def progress(done, total):
    if not killed and done > total / 3:
        pids = sorted(actors())
        assert len(pids) == 2, pids
        os.kill(pids[0], signal.SIGKILL)
        killed.append(done)

images, model, out = sys.argv[1:]
score_all(model, [images], Path(out), engine="ray", workers=2, progress=progress)
print("killed at", *killed)
"""


@pytest.mark.slow
def test_a_killed_actor_loses_and_doubles_nothing(many: tuple[Path, Path], by_local: list[dict[str, Any]]) -> None:
    images, model = many
    result = run_python(KILLING, images, model, images.parent / "killed", cwd=ROOT)
    assert re.match(r"killed at \d+\n$", result.stdout), result.stderr
    assert read(images.parent / "killed") == by_local


@pytest.mark.slow
def test_on_ray_too_a_damaged_file_is_one_line(model: Path, encoded: list[bytes], tmp_path: Path) -> None:
    path = write_images(tmp_path / "images.parquet", list(encoded[:300]), group=10)
    damaged(path, pq.read_metadata(path).row_group(20).column(0).data_page_offset)
    process = start(tmp_path, path.name, "--model", model, "--output", "out", "--engine", "ray")
    out, error = process.communicate(timeout=300)
    assert (process.returncode, out) == (1, "")
    assert error.startswith("kit: images.parquet: expected Parquet that can be read, found: ")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_a_cluster_that_is_none(model: Path, photos: Path, address: str) -> None:
    code = "import kit\nkit.main(['classify', *sys.argv[1:]])"
    arguments: list[str | Path] = ["photos", "--model", model, "--output", "out", "--engine", "ray"]
    result = run_python(code, *arguments, cwd=photos.parent, environment={"RAY_ADDRESS": address})
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(
        f"kit: expected the Ray cluster that RAY_ADDRESS names, {address}, to score images, found: "
    )
    assert result.stderr.count("\n") == 1
    assert [path.name for path in photos.parent.iterdir()] == ["photos"]

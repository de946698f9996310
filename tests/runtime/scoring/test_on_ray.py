"""Ray gives the same rows as worker processes, also where an actor dies."""

import re
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from export import export
from tests.interpreter import run_python
from tests.runtime.predicted import damaged, png, read, start_classify, write_images
from trainer import Dataset, FitConfig, fit

pytestmark = pytest.mark.spawns

ROOT = Path(__file__).parents[3]


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
    process = start_classify(images.parent, images, "--model", model, "--output", "local")
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
    process = start_classify(
        images.parent, images, "--model", model, "--output", "ray", "--engine", "ray", "--workers", "2"
    )
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
    process = start_classify(tmp_path, path.name, "--model", model, "--output", "out", "--engine", "ray")
    out, error = process.communicate(timeout=300)
    assert (process.returncode, out) == (1, "")
    (line,) = [line for line in error.splitlines() if "(raylet)" not in line]  # which Ray adds on a busy machine
    assert line.startswith("kit: images.parquet: expected Parquet that can be read, found: ")
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


@pytest.mark.parametrize("token", ["none", "a file that is not there"])
def test_a_cluster_that_wants_a_token(model: Path, photos: Path, token: str) -> None:
    """Ray looks for the token before it speaks to the cluster, which may be anything that listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        environment = {"RAY_ADDRESS": address, "RAY_AUTH_MODE": "token", "HOME": str(photos.parent)}
        if token != "none":
            environment["RAY_AUTH_TOKEN_PATH"] = str(photos.parent / "absent")
        code = "import kit\nkit.main(['classify', *sys.argv[1:]])"
        arguments: list[str | Path] = ["photos", "--model", model, "--output", "out", "--engine", "ray"]
        result = run_python(code, *arguments, cwd=photos.parent, environment=environment)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"kit: expected the Ray cluster that RAY_ADDRESS names, {address}, to accept this process, found: its "
        "authentication token is missing or incorrect: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or "
        "RAY_AUTH_TOKEN_PATH to the cluster's token\n"
    )
    assert not (photos.parent / "out").exists()

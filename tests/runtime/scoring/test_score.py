"""`kit classify --output` as a process: Ctrl-C, and its progress on a terminal."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.runtime.predicted import start_classify, write_images

pytestmark = pytest.mark.spawns


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_an_interrupted_run(
    model: Path, encoded: list[bytes], tmp_path: Path, sent: signal.Signals, status: int
) -> None:
    """Ctrl-C reaches every process of the terminal. The call returns once all that share its output have ended."""
    images = [encoded[number % len(encoded)] for number in range(40_000)]
    write_images(tmp_path / "images.parquet", list(images), group=1000)
    process = start_classify(tmp_path, "images.parquet", "--model", model, "--output", "out", "--workers", "2")
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
    assert re.search(r"images .*3000/3000", shown)
    assert shown.endswith("\n")
    assert done.stdout.startswith(b"wrote out: 3,000 images, 0 errors, ")

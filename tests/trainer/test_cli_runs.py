"""`kit train`: runs that are interrupted, resumed, started from another, and two in one folder."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.interpreter import Kit
from tests.trainer.test_cli import RUN, SHORT, names
from trainer import Dataset, FitConfig, fit, load_checkpoint

MODEL = Path("runs/digits/model.safetensors")
SGD = ["--solver", "sgd", "--batch-size", "256"]


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "kit", "train", *SHORT, *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.002)


LONG = ["--epochs", "60", "--batch-size", "16"]
OUT = ["--out", "runs/digits"]


@pytest.fixture(scope="session")
def undisturbed(digits: Dataset) -> bytes:
    return fit(digits, FitConfig(epochs=60, batch_size=16, device="cpu")).checkpoint.to_bytes()


@pytest.mark.spawns
def test_ctrl_c_saves_and_resume_goes_on(tmp_path: Path, undisturbed: bytes) -> None:
    process = start(tmp_path, *LONG)
    checkpoint = tmp_path / "runs/digits/model.safetensors"
    wait_for(checkpoint)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    last = error.splitlines()[-1]
    assert last.startswith("kit: interrupted in epoch ")
    assert last.endswith("saved runs/digits/model.safetensors: resume with the same command and --resume")
    assert load_checkpoint(checkpoint).progress is not None

    again = start(tmp_path, *LONG, "--resume")
    out, error = again.communicate(timeout=300)
    assert again.returncode == 0, error
    assert checkpoint.read_bytes() == undisturbed
    assert "epoch  1/60" not in error
    rows = list(csv.DictReader((tmp_path / "runs/digits/history.csv").read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 61))


@pytest.mark.slow
def test_kill_9_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path, undisturbed: bytes) -> None:
    checkpoint = tmp_path / "runs/digits/model.safetensors"
    generator = np.random.default_rng(0)
    for _ in range(8):
        process = start(tmp_path, *LONG, "--resume")
        started = time.monotonic()
        while process.poll() is None and not checkpoint.exists() and time.monotonic() < started + 60:
            time.sleep(0.002)
        time.sleep(float(generator.uniform(0, 2)))
        process.kill()
        process.communicate(timeout=60)
        assert load_checkpoint(checkpoint).labels == tuple("0123456789")
    out, error = start(tmp_path, *LONG, "--resume").communicate(timeout=300)
    assert out.startswith("test accuracy"), error
    assert checkpoint.read_bytes() == undisturbed
    assert names(tmp_path / "runs/digits") == RUN


def test_resume_of_nothing_and_of_a_finished_run(run_kit: Kit) -> None:
    first = run_kit("train", *SHORT, "--epochs", "1", "--resume")
    before = Path("runs/digits/model.safetensors").read_bytes()
    again = run_kit("train", *SHORT, "--epochs", "1", "--resume")
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert first.stdout == again.stdout + "wrote runs/digits/model.safetensors\n"
    assert "runs/digits/model.safetensors is finished already" in again.stderr
    assert Path("runs/digits/model.safetensors").read_bytes() == before


def test_resume_of_a_file_that_is_no_checkpoint(run_kit: Kit) -> None:
    Path("runs/digits").mkdir(parents=True)
    Path("runs/digits/model.safetensors").write_bytes(b"damaged")
    result = run_kit("train", *SHORT, "--resume")
    assert result.exit_code == 1
    assert "kit: runs/digits/model.safetensors: expected a checkpoint" in result.stderr


def test_a_finished_run_refuses_other_settings(run_kit: Kit) -> None:
    """Only those that were given are compared; so are the images."""
    assert run_kit("train", *SHORT, *SGD, "--epochs", "1", "--seed", "3").exit_code == 0
    before = MODEL.read_bytes()
    for other, name, then, now in (
        (["--epochs", "2"], "epochs", "1", "2"),
        (["--seed", "0"], "seed", "3", "0"),
        (["--solver", "auto"], "solver", "'sgd'", "'auto'"),
        (["--weight-decay", "1"], "weight_decay", "0.001", "1.0"),
    ):
        result = run_kit("train", *SHORT, *other, "--resume")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.splitlines()[-1] == (
            f"kit: {name}: expected {then}, as in the finished run runs/digits, found {now}: "
            "train anew without --resume, or from its weights with --from runs/digits"
        )
    result = run_kit("train", *SHORT, "--image-size", "9", "--resume")
    assert "kit: expected the images of the finished run runs/digits, found others" in result.stderr
    assert run_kit("train", *SHORT, "--device", "auto", "--lr", "0.03", "--resume").exit_code == 0
    assert MODEL.read_bytes() == before


def test_from_a_run_and_from_a_file(run_kit: Kit) -> None:
    """In a folder of its own, and in place of what it started from."""
    assert run_kit("train", *SHORT, *SGD, "--epochs", "5", "--lr", "0.3").exit_code == 0
    first, losses = load_checkpoint(MODEL), []
    for start, out in (("runs/digits", "new"), (MODEL, "other"), ("runs/digits", "runs/digits")):
        result = run_kit("train", *SHORT, *SGD, "--epochs", "1", "--from", start, "--out", out, "--json")
        report = json.loads(result.stdout)
        assert report["start"] == first.digest()
        losses.append(report["figures"]["train_loss"])
    assert len(set(losses)) == 1
    anew = json.loads(run_kit("train", *SHORT, *SGD, "--epochs", "1", "--out", "anew", "--json").stdout)
    assert losses[0] < anew["figures"]["train_loss"] / 2


def test_a_fit_that_diverges_leaves_what_was_there(run_kit: Kit) -> None:
    """Its own unfinished fit goes, though it was saved after the first epoch."""
    assert run_kit("train", *SHORT, *SGD, "--epochs", "1").exit_code == 0
    before = {path.name: path.read_bytes() for path in MODEL.parent.iterdir()}
    result = run_kit("train", *SHORT, "--lr", "1e6", "--epochs", "3")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "epoch 1/3" in result.stderr
    assert result.stderr.splitlines()[-1].endswith("lower --lr, which was 1e+06, or use --solver lbfgs")
    assert {path.name: path.read_bytes() for path in MODEL.parent.iterdir()} == before


@pytest.mark.spawns
def test_an_interrupted_fit_beside_a_model(run_kit: Kit, tmp_path: Path, undisturbed: bytes) -> None:
    """The model stays until the fit has been resumed to its end; meanwhile no other fit is let in."""
    assert run_kit("train", *SHORT, *SGD, "--epochs", "1").exit_code == 0
    before = {path.name: path.read_bytes() for path in MODEL.parent.iterdir()}
    process = start(tmp_path, *LONG, *OUT)
    wait_for(MODEL.parent / "unfinished" / MODEL.name)
    process.send_signal(signal.SIGSTOP)
    second = run_kit("train", *SHORT, *OUT)
    process.send_signal(signal.SIGCONT)
    assert second.exit_code == 1
    assert second.stderr.endswith(
        "\nkit: runs/digits: expected a folder that nobody else writes to, found another process: "
        "wait until its `kit train` ends, or name another folder with --out\n"
    )
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    saved = "saved runs/digits/unfinished/model.safetensors: resume with the same command and --resume"
    assert error.splitlines()[-1].endswith(saved)
    assert names(MODEL.parent) == RUN | {"unfinished"}
    assert {name: (MODEL.parent / name).read_bytes() for name in before} == before
    other = run_kit("train", *SHORT, *LONG, *OUT, "--seed", "1", "--resume")
    assert "kit: seed: expected 0, as when this fit began, found 1: resume with the same settings" in other.stderr
    assert run_kit("train", *SHORT, *LONG, *OUT, "--resume").exit_code == 0
    assert MODEL.read_bytes() == undisturbed
    assert names(MODEL.parent) == RUN


@pytest.mark.spawns
def test_what_an_interrupted_fit_from_a_run_says(run_kit: Kit, tmp_path: Path) -> None:
    assert run_kit("train", *SHORT, *SGD, "--epochs", "1", "--out", "first").exit_code == 0
    process = start(tmp_path, *LONG, "--from", "first")
    wait_for(MODEL)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert error.splitlines()[-1].endswith(": resume with the same command and --resume in place of --from")


@pytest.mark.spawns
def test_a_run_after_kill_9(run_kit: Kit, tmp_path: Path) -> None:
    """Its lock and its parts are in nobody's way."""
    process = start(tmp_path, *LONG)
    wait_for(MODEL)
    process.kill()
    process.communicate(timeout=60)
    (MODEL.parent / ".model.safetensors.1.part").touch()
    assert (MODEL.parent / ".lock").exists()
    assert run_kit("train", *SHORT, *SGD, "--epochs", "1").exit_code == 0
    assert names(MODEL.parent) == RUN

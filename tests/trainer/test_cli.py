"""`kit train`."""

import csv
import json
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.interpreter import Kit, run_python
from trainer import load_checkpoint

RUN = ["history.csv", "model.safetensors", "report.json"]


def test_a_run(run_kit: Kit) -> None:
    result = run_kit("train", "--data", "digits", "--epochs", "3", "--seed", "4")
    assert result.exit_code == 0
    folder = Path("runs/digits")
    assert sorted(path.name for path in folder.iterdir()) == RUN

    report = json.loads((folder / "report.json").read_text())
    rows = list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["test_accuracy"]) == report["figures"]["test_accuracy"]
    assert report["settings"]["seed"] == 4
    assert set(report["versions"]) == {"numpy", "softmax-kit", "torch"}
    assert load_checkpoint(folder / "model.safetensors").provenance["figures"] == report["figures"]

    assert result.stdout.splitlines() == [
        f"test accuracy {report['figures']['test_accuracy']:.4f}, loss {report['figures']['test_loss']:.4f}",
        "wrote runs/digits/model.safetensors",
    ]
    lines = result.stderr.splitlines()
    assert lines[0].startswith("digits: 1,437 training and 360 test images, 8×8×1, 10 labels; on ")
    assert [line.split()[:2] for line in lines[1:]] == [["epoch", f"{epoch}/3"] for epoch in (1, 2, 3)]


def test_json_is_the_report_and_nothing_else(run_kit: Kit) -> None:
    result = run_kit("train", "--data", "digits", "--epochs", "1", "--out", "here", "--json")
    assert json.loads(result.stdout) == json.loads(Path("here/report.json").read_text())


def test_settings_reach_the_fit(run_kit: Kit) -> None:
    flags = {
        "epochs": 2,
        "batch_size": 100,
        "lr": 0.5,
        "momentum": 0.1,
        "weight_decay": 0.2,
        "seed": 3,
        "device": "cpu",
    }
    arguments = [text for name, value in flags.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    result = run_kit("train", "--data", "digits", "--json", *arguments)
    assert json.loads(result.stdout)["settings"] == flags


def test_a_bar_on_a_terminal(tmp_path: Path) -> None:
    """The bar is seen on a terminal, and wiped when it is done."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 120))
    command = [sys.executable, "-m", "kit", "train", "--data", "digits", "--epochs", "2"]
    done = subprocess.run(command, cwd=tmp_path, stderr=follower, stdout=subprocess.PIPE, timeout=120, check=True)
    os.close(follower)
    shown = os.read(leader, 1_000_000).decode()
    os.close(leader)
    assert "images/s" in shown
    assert "epoch 2/2" in shown
    assert b"images/s" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--data", "imagenet"], 1, "kit: expected one of fashion-mnist, kmnist, mnist, digits, found 'imagenet'"),
        (["--data", "digits", "--out", "file/below"], 1, "kit: file/below/history.csv: expected a place to write to"),
        (["--data", "digits", "--lr", "1e38"], 1, "kit: expected a finite loss"),
        (["--epochs", "0"], 2, "Invalid value for '--epochs'"),
        (["--lr", "0"], 2, "Invalid value for '--lr'"),
        (["--momentum", "1"], 2, "Invalid value for '--momentum'"),
        (["--device", "tpu"], 2, "Invalid value for '--device'"),
        (["--no-such-option"], 2, "No such option"),
        (["digits"], 2, "unexpected extra argument"),
    ],
)
def test_what_cannot_be_done(run_kit: Kit, arguments: list[str], status: int, message: str) -> None:
    Path("file").write_text("")
    result = run_kit("train", *arguments)
    assert result.exit_code == status
    assert result.stdout == ""
    assert message in result.stderr
    assert not Path("runs").exists()


def test_without_torch(tmp_path: Path) -> None:
    code = "import kit\nkit.main(['train', '--data', 'digits'])"
    result = run_python(code, cwd=tmp_path, without=["torch", "torchvision", "sklearn"])
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == "kit: kit train needs torch, which is not installed: pip install 'softmax-kit[train]'\n"

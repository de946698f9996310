"""`kit train`."""

import csv
import json
import os
import pty
import resource
import shutil
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.interpreter import Kit, run_python
from tests.runtime.deep import deep, png
from trainer import TrainerError, load_checkpoint

RUN = {"MODEL_CARD.md", "history.csv", "model.safetensors", "predictions.csv", "report.json", "train.toml"}
PICTURES = {"confusion.png", "curves.png", "mistakes.png", "probabilities.png", "report.html", "weights.png"}
SHORT = ["--data", "digits", "--no-report"]
DATA_SETS = "fashion-mnist, mnist, kmnist, cifar10, digits, or a folder, an archive or a table of images, or Parquet"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_run(run_kit: Kit) -> None:
    result = run_kit("train", "--data", "digits", "--solver", "sgd", "--epochs", "3", "--seed", "4")
    assert result.exit_code == 0
    folder = Path("runs/digits")
    assert names(folder) == RUN | PICTURES

    report = json.loads((folder / "report.json").read_text())
    rows = list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["test_accuracy"]) == report["figures"]["test_accuracy"]
    assert report["settings"]["seed"] == 4
    assert set(report["versions"]) == {"numpy", "softmax-kit", "torch"}
    matrix = np.array(report["metrics"]["confusion_matrix"])
    assert matrix.trace() / matrix.sum() == pytest.approx(report["figures"]["test_accuracy"])
    assert load_checkpoint(folder / "model.safetensors").provenance["figures"] == report["figures"]
    assert f"Test accuracy {report['figures']['test_accuracy']:.4f}" in (folder / "MODEL_CARD.md").read_text()

    assert result.stdout.splitlines() == [
        f"test accuracy {report['figures']['test_accuracy']:.4f}, loss {report['figures']['test_loss']:.4f}",
        "wrote runs/digits/model.safetensors",
    ]
    lines = result.stderr.splitlines()[1:]
    assert lines[0].startswith(
        "digits: 1,437 training and 360 test images, 8×8×1, 10 labels: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9; on "
    )
    assert [line.split()[:2] for line in lines[1:]] == [
        *(["epoch", f"{epoch}/3"] for epoch in (1, 2, 3)),
        ["144", "held-out"],
        ["prediction", "sets:"],
    ]


def test_no_report_leaves_the_plots_out(run_kit: Kit) -> None:
    assert run_kit("train", *SHORT, "--epochs", "1").exit_code == 0
    assert names(Path("runs/digits")) == RUN
    assert not any(name in Path("runs/digits/MODEL_CARD.md").read_text() for name in PICTURES)


def test_json_is_the_report_and_nothing_else(run_kit: Kit) -> None:
    result = run_kit("train", *SHORT, "--epochs", "1", "--out", "here", "--json")
    assert json.loads(result.stdout) == json.loads(Path("here/report.json").read_text())


def test_settings_reach_the_fit(run_kit: Kit) -> None:
    flags = {
        "solver": "sgd",
        "epochs": 2,
        "batch_size": 100,
        "lr": 0.5,
        "schedule": "constant",
        "momentum": 0.1,
        "weight_decay": 0.2,
        "class_weights": "balanced",
        "val_fraction": 0.25,
        "seed": 3,
        "device": "cpu",
    }
    arguments = [text for name, value in flags.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    report = json.loads(run_kit("train", *SHORT, "--json", *arguments).stdout)
    assert report["settings"] == flags | {
        "patience": 3,
        "shuffle_window": 62016,  # bytes of all images
        "calibrate": True,
        "familiarity": False,
        "max_error": None,
        "max_miss": None,
    }
    assert report["figures"]["val_loss"] > 0


def test_lbfgs(run_kit: Kit) -> None:
    result = run_kit("train", *SHORT, "--solver", "lbfgs", "--weight-decay", "0.01", "--json")
    report = json.loads(result.stdout)
    assert report["figures"]["test_accuracy"] > 0.95
    assert report["settings"]["epochs"] == 2000
    assert report["converged"] is True
    assert "optimum" not in result.stderr


def test_lbfgs_says_that_it_needs_more_iterations(run_kit: Kit) -> None:
    result = run_kit("train", *SHORT, "--solver", "lbfgs", "--epochs", "5", "--json")
    assert "L-BFGS did not converge in 5 iterations: raise --epochs, or --weight-decay" in result.stderr
    assert json.loads(result.stdout)["converged"] is False


def test_sgd_says_nothing_of_an_optimum(run_kit: Kit) -> None:
    result = run_kit("train", *SHORT, "--solver", "sgd", "--epochs", "1", "--json")
    assert "optimum" not in result.stderr
    assert json.loads(result.stdout)["converged"] is None


def test_images_of_another_size_and_colour(run_kit: Kit) -> None:
    report = json.loads(
        run_kit("train", *SHORT, "--epochs", "1", "--image-size", "10", "--color", "RGB", "--json").stdout
    )
    assert report["image"] == {"height": 10, "width": 10, "color": "RGB"}


def test_a_folder_of_images(run_kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_CACHE_DIR", "cache")
    generator = np.random.default_rng(0)
    for label, brightness in (("day", 180), ("night", 20)):
        Path("photos", label).mkdir(parents=True)
        for number in range(30):
            pixels = generator.integers(brightness, brightness + 60, (9, 12, 3), np.uint8)
            Image.fromarray(pixels).save(f"photos/{label}/{number}.png")
    result = run_kit("train", "--data", "photos", "--image-size", "6", "--json", "--no-report")
    report = json.loads(result.stdout)
    assert report["labels"] == ["day", "night"]
    assert report["image"] == {"height": 6, "width": 6, "color": "RGB"}
    assert report["figures"]["test_accuracy"] == 1
    assert Path("runs/photos/model.safetensors").exists()
    assert run_kit("export", "runs/photos").exit_code == 0
    answers = run_kit("classify", "photos/day/0.png", "--model", "runs/photos/model.onnx", "--json")
    assert json.loads(answers.stdout)[0]["label"] == "day"


def test_sixteen_bits_and_unreadable_images(run_kit: Kit) -> None:
    """What train says in its first lines, evaluate takes from the artefact."""
    for label, low in (("dark", 0), ("light", 2000)):
        for number in range(10):
            path = Path("photos", label, f"{number}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(deep(3, 2000, seed=number) + np.uint16(low)))
        Path("photos", label, "bad.jfif").touch()
    train = ("train", "--data", "photos", "--image-size", "6", "--no-report", "--epochs", "5")
    refused = run_kit(*train)
    assert refused.exit_code == 1
    assert "kit: photos: expected at most 1% of the images to be unreadable, found 2 of 22" in refused.stderr
    result = run_kit(*train, "--max-unreadable", "0.1")
    assert result.stderr.splitlines()[1:5] == [
        "photos: 20 of 22 training images have 16-bit pixels, of up to 4,000: shifted by 4 to 8 bits (--shift)",
        "photos: left out 2 of 22 images, which cannot be read:",
        *(
            f"  {label}/bad.jfif: expected an image file (PNG, JPEG, …), found nothing (0 bytes)"
            for label in ("dark", "light")
        ),
    ]
    assert run_kit("export", "runs/photos").exit_code == 0
    assert "shift 4" in run_kit("inspect", "runs/photos/model.onnx").stdout
    evaluate = ("evaluate", "--model", "runs/photos/model.onnx", "--data", "photos", "--all")
    assert run_kit(*evaluate).exit_code == 1
    answer = run_kit(*evaluate, "--max-unreadable", "0.1", "--json")
    assert json.loads(answer.stdout)["accuracy"] == 1
    assert answer.stderr.splitlines() == result.stderr.splitlines()[2:5]
    assert "shifted by" not in run_kit(*train, "--max-unreadable", "1", "--shift", "8", "--out", "other").stderr


@pytest.mark.spawns
def test_a_bar_on_a_terminal(tmp_path: Path) -> None:
    """The bar is seen on a terminal, and wiped when it is done."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 120))
    command = [sys.executable, "-m", "kit", "train", *SHORT, "--epochs", "2"]
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
        (["--data", "imagenet"], 1, f"kit: expected one of {DATA_SETS}, found 'imagenet'"),
        (["--data", "empty"], 1, "kit: "),
        (["--data", "digits", "--out", "file/below"], 1, "kit: file/below/history.csv: expected a place to write to"),
        (["--data", "digits", "--lr", "1e38"], 1, "kit: expected a finite loss"),
        (
            ["--data", "digits", "--lr", "1e6", "--epochs", "1"],
            1,
            "lower --lr, which was 1e+06, or use --solver",
        ),
        (["--data", "digits", "--from", "nothing"], 1, "kit: nothing: expected a checkpoint, found no such file: make"),
        (["--data", "digits", "--from", "empty"], 1, "kit: empty/model.safetensors: expected a checkpoint, found no"),
        (["--data", "digits", "--from", "file"], 1, "kit: file: expected a checkpoint (model.safetensors), found a"),
        (["--data", "digits", "--from", "a", "--resume"], 2, "expected --from or --resume, found both"),
        (["--epochs", "0"], 2, "Invalid value for '--epochs'"),
        (["--lr", "0"], 2, "Invalid value for '--lr'"),
        (["--momentum", "1"], 2, "Invalid value for '--momentum'"),
        (["--val-fraction", "1"], 2, "Invalid value for '--val-fraction'"),
        (["--solver", "newton"], 2, "Invalid value for '--solver'"),
        (["--device", "tpu"], 2, "Invalid value for '--device'"),
        (["--no-such-option"], 2, "No such option"),
        (["digits"], 2, "unexpected extra argument"),
    ],
)
def test_what_cannot_be_done(run_kit: Kit, arguments: list[str], status: int, message: str) -> None:
    Path("file").write_text("")
    Path("empty").mkdir()
    result = run_kit("train", *arguments)
    assert result.exit_code == status
    assert result.stdout == ""
    assert message in result.stderr
    assert not Path("runs").exists()


@pytest.mark.spawns
def test_without_torch(tmp_path: Path) -> None:
    code = "import kit\nkit.main(['train', '--data', 'digits'])"
    result = run_python(code, cwd=tmp_path, without=["torch", "torchvision", "sklearn"])
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.splitlines()[1:] == [
        "kit: kit train needs torch, which is not installed: pip install 'softmax-kit[train]'"
    ]


def test_a_folder_that_cannot_take_the_run(run_kit: Kit) -> None:
    """It is refused before training; the images are not mixed with the run's files."""
    for label in ("day", "night"):
        Path("photos", label).mkdir(parents=True)
        for number in range(8):
            Image.new("L", (4, 4), number).save(f"photos/{label}/{number}.png")
    Path("link").symlink_to("photos")
    os.mkfifo("pipe")
    for name in ("model.safetensors", "report.json"):
        Path("pipes", name).parent.mkdir(exist_ok=True)
        os.mkfifo(f"pipes/{name}")
    Path("folders/mistakes.png").mkdir(parents=True)
    for source, out, found in (
        ("photos", "photos", "found what is read, photos: name another"),
        ("photos", "link", "found what is read, photos: name another"),
        ("digits", "-", "found the name of standard output: name another"),
        ("digits", "pipe", "found: Not a directory: "),
        ("digits", "pipes", "found a device or a pipe: name a file"),
        ("digits", "folders", "found: Is a directory: name a file"),
    ):
        before = sorted(Path().rglob("*"))
        result = run_kit("train", "--data", source, "--out", out, "--epochs", "1")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "epoch" not in result.stderr
        assert f": expected a place to write to, {found}" in result.stderr
        assert [path for path in sorted(Path().rglob("*")) if path.parts[0] != "cache"] == [
            path for path in before if path.parts[0] != "cache"
        ]
    Path("digits").mkdir()
    assert run_kit("train", *SHORT, "--out", "digits", "--epochs", "1").exit_code == 0


@pytest.mark.spawns
@pytest.mark.parametrize("home", [None, pytest.param("/proc/no-such-home", marks=pytest.mark.slow)])
def test_without_a_home(home: str | None, tmp_path: Path) -> None:
    """Nor an entry in the list of users, as in a container; matplotlib says nothing of it and leaves nothing."""
    code = f"""
import os, pwd
def absent(user):
    raise KeyError(user)
pwd.getpwuid = absent
os.environ.pop("HOME")
os.environ.pop("MPLCONFIGDIR", None)
if {home!r}:
    os.environ["HOME"] = {home!r}
import kit
kit.main(["train", "--data", "digits", "--solver", "sgd", "--epochs", "1", "--out", "run"])
"""
    result = run_python(code, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert [line.split()[0] for line in result.stderr.splitlines()] == ["kit", "digits:", "epoch", "144", "prediction"]
    assert names(tmp_path / "run") == RUN | PICTURES


def test_figures_come_before_the_plots(run_kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose plots fail has its checkpoint, and none of an earlier run's plots."""

    def fail(*_: object, **__: object) -> None:
        raise TrainerError("no room")

    run = ["train", "--data", "digits", "--epochs", "1", "--out", "run"]
    assert run_kit(*run).exit_code == 0
    monkeypatch.setattr("trainer.report.plots.write_plots", fail)
    result = run_kit(*run, "--seed", "1")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (1, "kit: no room")
    assert result.stdout.splitlines()[-1] == "wrote run/model.safetensors"
    assert names(Path("run")) == RUN
    checkpoint = load_checkpoint("run/model.safetensors")
    assert (checkpoint.progress, checkpoint.provenance["settings"]["seed"]) == (None, 1)


@pytest.mark.slow
@pytest.mark.spawns
def test_what_the_report_costs(tmp_path: Path) -> None:
    """At most 2.5 s of processor time for 1,000 photos that are cached."""
    generator = np.random.default_rng(0)
    for number in range(1000):
        path = tmp_path / "photos" / "abcde"[number % 5] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(40 * (number % 5), 255, (48, 64, 3), np.uint8)).save(path)

    def seconds(*options: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "kit", "train", "--data", "photos", "--device", "cpu", *options]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    seconds()
    assert min(seconds() for _ in range(3)) - min(seconds("--no-report") for _ in range(3)) <= 2.5


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 160 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = [shutil.which("mount") or "mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small file system cannot be mounted here ({error})")
    yield folder
    subprocess.run([shutil.which("umount") or "umount", str(folder)], check=True)


@pytest.mark.spawns
def test_a_full_disk(run_kit: Kit, small_disk: Path) -> None:
    result = run_kit("train", "--data", "digits", "--epochs", "2", "--out", small_disk / "run")
    assert result.exit_code == 1
    assert "expected a place to write to, found: No space left on device: free some space" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("kit: ")
    assert names(small_disk / "run") <= RUN | PICTURES
    for path in (small_disk / "run").glob("*.png"):
        Image.open(path).verify()
    assert load_checkpoint(small_disk / "run" / "model.safetensors").labels == tuple("0123456789")

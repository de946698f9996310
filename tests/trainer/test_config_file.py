"""`kit train --config`, and the train.toml of a run."""

import os
import tomllib
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

import kit
from runtime.files import write_atomic
from tests.interpreter import Kit
from trainer.config_file import CONFIG, key_of

RUN = Path("runs/digits")
EVERY = """
data = "photos"
data-dir = "data"
image-size = 6
color = "L"
fit = "crop"
shift = 0
max-unreadable = 0.5
features = "patches"
filters = 16
mirror = true
solver = "sgd"
epochs = 2
batch-size = 20
lr = 0.01
schedule = "constant"
momentum = 0
weight-decay = 1e-05
class-weights = "balanced"
val-fraction = 0.25
seed = 3
device = "cpu"
calibrate = true
max-error = 0.4
max-miss = ["day \\"a\\"=0.4"]
familiarity = false
memory-limit = "1GB"
report = false
"""
OTHERS = {"column", "label-column", "out", "from", "resume", "json", "features-weights", "features-download",
          "features-output", "features-layout", "features-mean", "features-scale"}  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        ["--solver", "sgd", "--epochs", "2", "--batch-size", "50", "--seed", "5", "--image-size", "7"],
        ["--no-calibrate", "--weight-decay", "0.01", "--epochs", "3", "--memory-limit", "1GB", "--mirror",
         "--features", "patches", "--filters", "8"],
    ],
)  # fmt: skip
def test_a_run_is_repeated_bit_for_bit(options: list[str], run_kit: Kit) -> None:
    assert run_kit("train", "--data", "digits", "--no-report", *options).exit_code == 0
    again = run_kit("train", "--config", RUN / "train.toml")
    assert again.exit_code == 0, again.stderr
    one, other = (
        {path.name: path.read_bytes() for path in folder.iterdir()} for folder in (RUN, Path("runs/digits-2"))
    )
    assert {name: one[name] for name in ("model.safetensors", "train.toml")} == {
        name: other[name] for name in ("model.safetensors", "train.toml")
    }
    assert str(Path.cwd()).encode() not in one["train.toml"]


def test_every_option_may_be_in_the_file(run_kit: Kit) -> None:
    """As it is written, it says what was given; the command line wins."""
    given = tomllib.loads(EVERY)
    command = kit.main.get_command(click.Context(kit.main), "train")
    assert command
    assert {key_of(option) for option in command.params if option.name != CONFIG} == {*given, *OTHERS}
    generator = np.random.default_rng(0)
    for label, brightness in (('day "a"', 180), ("night", 20)):
        Path("photos", label).mkdir(parents=True)
        for number in range(30):
            pixels = generator.integers(brightness, brightness + 60, (9, 12, 3), np.uint8)
            Image.fromarray(pixels).save(f"photos/{label}/{number}.png")
    Path("mine.toml").write_text(EVERY)
    result = run_kit("train", "--config", "mine.toml", "--seed", "4")
    assert "runs/photos/model.safetensors" in result.stdout, result.stderr
    written = tomllib.loads(Path("runs/photos/train.toml").read_text())
    assert written == given | {"seed": 4, "memory-limit": "1000000000", "features-download": False}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("epohs = 3", "expected an option of kit train, found 'epohs': did you mean epochs?"),
        ("zzz = 3", "expected an option of kit train, found 'zzz': choose one of data, "),
        ("[fit]\nepochs = 3", "fit: expected a string, found {'epochs': 3}"),
        ("epochs = 2.5", "epochs: expected a whole number, found 2.5"),
        ("epochs = true", "epochs: expected a whole number, found True"),
        ("epochs = 0", "epochs: 0 is not in the range x>=1"),
        ('lr = "fast"', "lr: expected a number, found 'fast'"),
        ('solver = "adam"', "solver: 'adam' is not one of 'auto', 'sgd', 'lbfgs'"),
        ('report = "no"', "report: expected true or false, found 'no'"),
        ('max-miss = "a=0.1"', "max-miss: expected a list of strings, found 'a=0.1'"),
        ('max-miss = ["a"]', "max-miss: expected a label and a rate above 0 and below 1"),
        ('memory-limit = "much"', "memory-limit: expected a size such as 512MB or 2GiB, found 'much'"),
        ('data = ""', "data: expected a string, found ''"),
        ("config_file = 'a.toml'", "expected an option of kit train, found 'config_file'"),
        ("epochs = ", "expected options of kit train in TOML, found: Invalid value"),
        ("a = " + "[" * 10**5, "expected options of kit train in TOML, found: "),
        ("#" * (2**20 + 1), "found: more than 1 MB"),
        (b"\xff", "found: 'utf-8' codec can't decode"),
        (None, "found: No such file or directory"),
    ],
)  # fmt: skip
def test_a_file_that_is_refused(content: str | bytes | None, message: str, run_kit: Kit) -> None:
    if content is not None:
        write_atomic(Path("a.toml"), content if isinstance(content, bytes) else content.encode())
    result = run_kit("train", "--config", "a.toml", "--data", "digits")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Invalid value for '--config': a.toml: " in result.stderr
    assert message in result.stderr
    assert not Path("runs").exists()


def test_the_file_that_is_read_is_not_replaced(run_kit: Kit) -> None:
    Path("run").mkdir()
    Path("run/train.toml").write_text("epochs = 1 # mine\n")
    result = run_kit("train", "--config", "run/train.toml", "--data", "digits", "--out", "run")
    assert result.exit_code == 1
    assert "run/train.toml: expected a place to write to, found what is read" in result.stderr
    assert Path("run/train.toml").read_text() == "epochs = 1 # mine\n"


def test_a_resumed_run_keeps_the_options_that_it_began_with(run_kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    short = ["--data", "digits", "--no-report", "--solver", "sgd", "--epochs", "2", "--no-calibrate"]
    assert run_kit("train", *short, "--out", "first").exit_code == 0
    with monkeypatch.context() as patch:
        patch.setattr("trainer.report.run.Run._write_report", lambda *_: 1 // 0)  # ends it before its last save
        with pytest.raises(ZeroDivisionError):
            run_kit("train", *short, "--from", "first")
    assert tomllib.loads((RUN / "train.toml").read_text())["from"] == "first"
    assert run_kit("train", *short, "--resume").exit_code == 0
    assert tomllib.loads((RUN / "train.toml").read_text())["from"] == "first"


def test_what_the_file_leaves_out(run_kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that the environment names, and a name that is not UTF-8."""
    monkeypatch.setenv("KIT_DATA_DIR", str(Path.cwd()))
    name = os.fsdecode(b"first\xff")
    assert run_kit("train", "--data", "digits", "--no-report", "--epochs", "1", "--out", name).exit_code == 0
    assert run_kit("train", "--data", "digits", "--no-report", "--epochs", "1", "--from", name).exit_code == 0
    text = (RUN / "train.toml").read_text()
    assert "# from: not UTF-8, give it on the command line" in text
    assert {"from", "data-dir", "out"} & set(tomllib.loads(text)) == set()

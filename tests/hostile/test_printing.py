"""Labels and names that would steer a terminal, through every command and every file that shows them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import kit
from export import export
from trainer import Checkpoint, save_checkpoint

from .conftest import photos

pytestmark = pytest.mark.usefixtures("run_kit")  # in an empty folder

# Colours, the title, and a clearing of the screen, also in 8-bit controls; other directions of writing; line ends.
HOSTILE = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202eright\u2066\u200f\r\x7f\x08\tend"
OTHER = "\u2028night\u2029\x85|<b>`x`"


def printed(*arguments: str | Path, status: int = 0) -> str:
    """Run a command as on a terminal, and return all that it prints, which has to be plain."""
    result = CliRunner().invoke(kit.main, [str(argument) for argument in arguments], color=True)
    assert result.exit_code == status, result.output
    assert plain(result.output)
    return result.output


def plain(text: str) -> bool:
    return all(character == "\n" or character.isprintable() for character in text)


@pytest.fixture
def hostile(checkpoint: Checkpoint, tmp_path: Path) -> Checkpoint:
    """The digits, the first two labels of which are hostile, saved as a run of a hostile name."""
    hostile = replace(checkpoint, labels=(HOSTILE, OTHER, *checkpoint.labels[2:]))
    save_checkpoint(hostile, tmp_path / "runs" / HOSTILE / "model.safetensors")
    return hostile


@pytest.mark.spawns
@pytest.mark.parametrize("as_json", [False, True])
def test_labels_of_an_artefact(hostile: Checkpoint, as_json: bool, good: Path) -> None:
    json_option = ["--json"] if as_json else []
    path = export(hostile, "onnx", f"{HOSTILE}.onnx").path
    top = ["--top-k", "10"]
    found = printed("classify", good / "given" / "photos", "--model", path, *top, *json_option)
    assert (r"\u001b[31mred" if as_json else r"\x1b[31mred") in found
    assert "red" in printed("inspect", path, *json_option)
    printed("selftest", path)
    printed("bench", path, "--seconds", "0.1", *json_option)
    assert HOSTILE.encode("unicode_escape").decode()[:9] in printed(
        "evaluate", "--model", path, "--data", "digits", *json_option, status=1
    )
    printed("export", *json_option)  # names the run, whose name is hostile
    for command in (["classify", path, "--model"], ["inspect"], ["selftest"], ["bench"], ["export"]):
        printed(*command, f"{HOSTILE}.absent", status=1)
    printed("classify", HOSTILE, "--model", path, status=1)


def test_names_of_options() -> None:
    for arguments in (
        [HOSTILE],
        ["inspect", f"--{HOSTILE}"],
        ["inspect", "a", HOSTILE],
        ["train", "--epochs", HOSTILE],
        ["bench", "a", "--budget", HOSTILE],
        ["export", "--format", "onnx", "--format", "ort", "--output", HOSTILE],
    ):
        printed(*arguments, status=2)


@pytest.mark.parametrize("as_json", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_class_folders(as_json: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the folders' names to all files of a run, and on to the artefact."""
    monkeypatch.setenv("KIT_CACHE_DIR", str(tmp_path / "cache"))
    data, run = Path(HOSTILE), Path("runs") / HOSTILE
    photos(data / "train", (HOSTILE, OTHER), each=101)
    photos(data / "test", (HOSTILE, OTHER), each=2)
    photos(data / "val", (HOSTILE, OTHER), each=1)
    (data / "train" / OTHER / f"{HOSTILE}.png").write_bytes(b"no image")
    options = ["--json"] if as_json else []
    printed("train", "--data", data, "--image-size", "4", "--epochs", "2", *options)
    report = (run / "report.json").read_text()
    assert plain(report)
    assert json.loads(report)["labels"] == sorted([HOSTILE, OTHER])
    assert plain((run / "MODEL_CARD.md").read_text().replace("\u200f", ""))  # a mark alone reorders nothing
    assert plain((run / "history.csv").read_text())
    printed("export", run, "--verify-on", data, *options)
    printed("evaluate", "--model", run / "model.onnx", "--data", data, *options)
    printed("classify", data / "test", "--model", run / "model.onnx", *options)
    (data / "test" / OTHER).rename(data / "test" / "other")
    printed("train", "--data", data, status=1)


@pytest.mark.parametrize("name", [b"caf\xe9", b"\xff\xfe"])
def test_names_that_are_not_utf8(name: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the data's folder, of the run's, and of an image."""
    monkeypatch.setenv("KIT_CACHE_DIR", str(tmp_path / "cache"))
    text = name.decode(errors="surrogateescape")
    photos(Path(text))
    (Path(text) / "day" / "0.png").rename(Path(text) / "day" / f"{text}.png")
    printed("train", "--data", text, "--image-size", "4", "--epochs", "1", "--no-report", "--out", f"run {text}")
    printed("export", f"run {text}", "--json")
    printed("classify", text, "--model", f"run {text}/model.onnx")
    printed("classify", text, "--model", f"run {text}/model.onnx", "--json")

"""`kit export`."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from export.errors import ExportError, ParityError
from export.formats import FORMATS, Format
from runtime.errors import MissingExtraError, ToolchainError
from tests.interpreter import Kit
from tests.node import needs_node
from trainer import Checkpoint, save_checkpoint


@pytest.fixture
def runs(run_kit: Kit, checkpoint: Checkpoint) -> Kit:
    """Two runs in the current folder, of which `second` is the newer one."""
    for age, name in enumerate(["second", "first"]):
        path = Path("runs") / name / "model.safetensors"
        save_checkpoint(checkpoint, path)
        os.utime(path, (10_000 - age, 10_000 - age))
    return run_kit


def test_the_newest_run_and_every_format(runs: Kit) -> None:
    result = runs("export", "--format", "onnx", "--format", "torchscript")
    assert (result.exit_code, result.stderr) == (0, "exporting runs/second/model.safetensors\n")
    header, *rows = result.stdout.splitlines()
    assert header.split("  ")[0] == "format"
    for row, (name, suffix) in zip(rows, [("onnx", "onnx"), ("torchscript", "pt")], strict=True):
        path = Path(f"runs/second/model.{suffix}")
        cells = row.split()
        assert cells[:4] == [name, str(path), f"{path.stat().st_size:,}", "1,291"]
        assert 0 < float(cells[4]) < 1e-5
        assert cells[5:8] == ["0", "100.00%", "of"]
    assert sorted(path.name for path in Path("runs/second").iterdir()) == [
        "model.onnx",
        "model.pt",
        "model.safetensors",
    ]


@pytest.mark.parametrize("source", ["runs/first", "runs/first/model.safetensors"])
def test_a_run_or_a_checkpoint(runs: Kit, source: str) -> None:
    assert runs("export", source).exit_code == 0
    assert Path("runs/first/model.onnx").exists()


def test_output_is_a_file_or_a_folder(runs: Kit) -> None:
    assert runs("export", "--output", "new/shoes.onnx").exit_code == 0
    assert Path("new/shoes.onnx").exists()
    assert runs("export", "--output", "new", "--format", "onnx", "--format", "torchscript").exit_code == 0
    assert {path.name for path in Path("new").iterdir()} == {"shoes.onnx", "model.onnx", "model.pt"}


def test_json_is_the_reports_and_nothing_else(runs: Kit) -> None:
    (report,) = json.loads(runs("export", "--json").stdout)
    path = Path("runs/second/model.onnx")
    assert report["path"] == str(path)
    assert report["size"] == path.stat().st_size
    assert report["digest"].startswith("sha256:")
    assert report["parity"]["label_flips"] == 0
    assert report["tolerance"] == 1e-5


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["absent"], 1, "kit: absent: expected a checkpoint, found no such file: make one with `kit train`"),
        (["folder"], 1, "kit: folder/model.safetensors: expected a checkpoint, found no such file"),
        (["file"], 1, "kit: file: expected a checkpoint (model.safetensors), found a file that is not a valid one"),
        (["--tolerance", "1e-15"], 1, "kit: expected probabilities within 1e-15 of "),
        (["--output", "file/below.onnx"], 1, "kit: file/below.onnx: expected a place to write to"),
        (["--output", "pipe"], 1, "kit: pipe: expected a place to write to, found a device or a pipe: name a file"),
        (["--output", "-"], 1, "kit: -: expected a place to write to, found the name of standard output: name"),
        (["--output", ""], 2, "expected a value for '--output', found an empty one"),
        (["--target-ort", ""], 2, "expected a value for '--target-ort', found an empty one"),
        (["--format", "tflite"], 2, "Invalid value for '--format'"),
        (["--tolerance", "0"], 2, "Invalid value for '--tolerance'"),
        (["--format", "onnx", "--format", "torchscript", "--output", "a.onnx"], 2, "with several formats --output is"),
    ],
)
def test_what_cannot_be_done(runs: Kit, arguments: list[str], status: int, message: str) -> None:
    Path("file").write_text("no checkpoint")
    os.mkfifo("pipe")
    Path("folder").mkdir()
    result = runs("export", *arguments)
    assert result.exit_code == status
    assert result.stdout == ""
    assert message in result.stderr
    assert [path.name for path in Path("runs/second").iterdir()] == ["model.safetensors"]


def test_the_checkpoint_is_not_replaced(runs: Kit) -> None:
    """Under any of its names, and where the default name is its own."""
    checkpoint = Path("runs/first/model.safetensors")
    Path("link").symlink_to(checkpoint)
    Path("hard.onnx").hardlink_to(checkpoint)
    before = checkpoint.read_bytes()
    for arguments in (
        [checkpoint, "--output", checkpoint],
        [checkpoint, "--output", "link"],
        [checkpoint, "--output", "hard.onnx"],
        ["hard.onnx"],
        ["link", "--output", checkpoint],
    ):
        result = runs("export", *arguments)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "expected a place to write to, found what is read, " in result.stderr
    assert checkpoint.read_bytes() == Path("hard.onnx").read_bytes() == before
    assert Path("link").is_symlink()


@pytest.mark.parametrize(
    ("format_name", "name", "ending"),
    [
        ("onnx", "x.pt", ".pt"),
        ("onnx", "x.int8.onnx", ".int8.onnx"),
        ("onnx-int8", "x.ONNX", ""),
        ("onnx", "x.model", ""),
        ("ort", "x.onnx", ".onnx"),
        ("pt2", "x.pt", ".pt"),
        ("torchscript", "x.PT2", ".pt2"),
    ],
)
def test_a_file_name_of_another_format(runs: Kit, format_name: str, name: str, ending: str) -> None:
    result = runs("export", "--format", format_name, "--output", name)
    if ending:
        assert result.exit_code == 1
        assert f"kit: {name}: expected a file name for {format_name}, found that it ends in {ending}: " in result.stderr
    assert Path(name).exists() == (not ending)


def test_no_run(run_kit: Kit) -> None:
    result = run_kit("export")
    assert result.exit_code == 1
    assert result.stderr == "kit: expected a run under runs/, found none: `kit train` makes one, or name a checkpoint\n"


@needs_node
def test_the_command_line(run_kit: Kit, checkpoint: Checkpoint) -> None:
    save_checkpoint(checkpoint, "runs/digits/model.safetensors")
    formats = [part for name in FORMATS for part in ("--format", name)]
    result = run_kit("export", *formats, "--verify-on", "digits", "--json")
    assert result.exit_code == 0
    reports = json.loads(result.stdout)
    assert [report["format"] for report in reports] == list(FORMATS)
    for report in reports:
        assert Path(report["path"]).name == f"model{FORMATS[report['format']].suffix}"
        files = [path for path in (Path(report["path"]), *Path(report["path"]).glob("*")) if path.is_file()]
        assert report["size"] == sum(path.stat().st_size for path in files)
        assert report["verification"]["images"] == 360
        assert report["proof"]["certain"] > 0.98
    lines = run_kit("export", "--verify-on", "digits", "--target-ort", "1.15").stdout.splitlines()
    assert lines[2].startswith("onnx on 360 images of digits: accuracy 0.9")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--opset", "12"], "kit: expected an opset from 13 to"),
        (["--target-ort", "new"], "kit: expected a version of onnxruntime"),
        (["--target-ort", "1.2"], "kit: expected onnxruntime 1.15 or newer, found 1.2"),
        (["--format", "pt2", "--target-ort", "1.20"], "kit: expected no opset and no onnxruntime version for pt2"),
        (["--verify-on", "shoes"], "kit: expected one of fashion-mnist,"),
    ],
)
def test_options_that_fit_no_file(run_kit: Kit, checkpoint: Checkpoint, arguments: list[str], message: str) -> None:
    save_checkpoint(checkpoint, "runs/digits/model.safetensors")
    result = run_kit("export", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr
    assert [path.name for path in Path("runs/digits").iterdir()] == ["model.safetensors"]


def test_every_format_whose_tools_are_there(runs: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are named, with what to install; a setting of some formats is for these alone."""
    missing = MissingExtraError("exporting to .pt2 needs torch: pip install 'softmax-kit[train]'")
    failures = {"pt2": missing, "c": ToolchainError("no compiler"), "arduino": ExportError("refused")}

    def load(kind: Format) -> Any:
        (name,) = (name for name, other in FORMATS.items() if other is kind)
        if name in failures:
            raise failures[name]
        return load_module(kind)

    load_module = Format.load
    monkeypatch.setattr(Format, "load", load)
    result = runs("export", "--format", "all", "--opset", "14", "--json")
    assert result.exit_code == 0
    written = [report["format"] for report in json.loads(result.stdout)]
    assert {"onnx", "onnx-int8", "torchscript"} <= set(written)
    assert result.stderr.splitlines()[1:] == [
        f"kit: not exported to pt2: {missing}",
        "kit: not exported to c: no compiler",
        "kit: not exported to arduino: refused",
    ]
    failures["onnx"] = ParityError("differs")
    result = runs("export", "--format", "all", "--json")
    assert result.exit_code == 1  # which the gate decides, though others are written
    assert "onnx-int8" in [report["format"] for report in json.loads(result.stdout)]
    assert "kit: not exported to onnx: differs" in result.stderr.splitlines()
    failures |= dict.fromkeys(FORMATS, ExportError("refused"))
    result = runs("export", "--format", "all")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("kit: not exported to ") == len(FORMATS)

"""Tables: as wide as they are in a pipe, and to the width of a terminal."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from runtime import tables
from runtime.commands.bench import COLUMNS
from tests.interpreter import UNMEASURED

EXPORT = ("format", "file", "bytes", "images compared", "largest difference", "labels that differ", "certain",
          "largest logit error")  # fmt: skip
ROWS: dict[str, list[tuple[str, ...]]] = {
    "export": [
        EXPORT,
        ("onnx", "runs/fashion-mnist/model.onnx", "34,567", "1,291", "1.2e-07", "0", "100.00% of 10,000", "2.1e-06"),
        ("torchscript", "runs/fashion-mnist/model.pt", "45,678", "1,291", "1.2e-07", "0", "", ""),
    ],
    "bench": [
        ("artefact", *(title for title, _ in COLUMNS.values())),
        ("runs/fashion-mnist/model.onnx", *(["123,456.7"] * len(COLUMNS))),
    ],
    "runs": [
        ("run", "data", "features", "training images", "epochs", "test accuracy", "test loss", ""),
        ("runs/fashion-mnist", "fashion-mnist", "pixels", "60,000", "10", "0.8437", "0.4521", ""),
        ("runs/photos-of-the-factory", "photos", "patches", "–", "–", "–", "–", "unfinished"),
    ],
    "titles alone": [EXPORT],
}


@pytest.mark.parametrize("columns", [60, 80, 100, 120, 160, 200])
@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("numbers", [False, True])
def test_a_table_fits(name: str, columns: int, numbers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every word is whole, and none is left out."""
    rows = ROWS[name]
    monkeypatch.setattr(tables, "room", lambda: columns)
    lines = tables.table(rows, numbers=numbers)
    assert max(map(len, lines), default=0) <= columns
    cells = [cell for row in rows[1:] for cell in row]
    assert all(any(cell in line for line in lines) for cell in cells if cell)
    words = {word for line in lines for word in line.split()}
    assert words <= {word for row in rows for cell in row for word in cell.split()}
    if len(rows) > 1:
        assert {word for title in rows[0] for word in title.split()} <= words


def test_a_table_in_a_pipe_is_as_wide_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert tables.table([("a", "long title", "b"), ("1", "2", "a long cell of words"), ("111", "", "")]) == [
        "a    long title  b",
        "1    2           a long cell of words",
        "111",
    ]
    assert tables.table([("a", "b c"), ("x", "1.5"), ("yy", "10.25")], numbers=True) == [
        "a     b c",
        "x     1.5",
        "yy  10.25",
    ]


def test_titles_break_before_rows_do(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("run", "test accuracy", "loss"), ("one", "0.5", "0.25")]
    monkeypatch.setattr(tables, "room", lambda: 20)
    assert tables.table(rows) == ["     test", "run  accuracy  loss", "one  0.5       0.25"]
    monkeypatch.setattr(tables, "room", lambda: 17)
    assert tables.table(rows) == ["run one", "  test accuracy  0.5", "  loss           0.25"]


def on_a_terminal(folder: Path, arguments: Sequence[str], **variables: str) -> str:
    """What a command prints on a terminal, standard error included."""
    terminal, end = pty.openpty()
    environment = {**os.environ, **UNMEASURED, "TERM": "xterm", **variables}
    environment.pop("NO_COLOR", None) if "NO_COLOR" not in variables else None
    process = subprocess.Popen(
        [sys.executable, "-m", "kit", *arguments], cwd=folder, env=environment, stdout=end, stderr=end
    )
    os.close(end)
    text = b""
    try:
        while part := os.read(terminal, 2**16):
            text += part
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    assert process.wait(60) is not None
    return text.decode().replace("\r\n", "\n")


@pytest.mark.spawns
def test_colour_on_a_terminal_alone(tmp_path: Path) -> None:
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "model.safetensors").write_bytes(b"damaged")
    missing = ["selftest", "missing.onnx"]
    assert "\x1b[1mrun " in on_a_terminal(tmp_path, ["runs"], COLUMNS="100")
    assert on_a_terminal(tmp_path, ["runs"], COLUMNS="60").startswith("\x1b[1mrun runs/one\x1b[0m\n")
    assert re.match(r"\x1b\[31mkit: .*\x1b\[0m\n", on_a_terminal(tmp_path, missing, COLUMNS="100"))
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in "".join(on_a_terminal(tmp_path, call, **variables) for call in (["runs"], missing))
    command = [sys.executable, "-m", "kit", "runs"]
    assert b"\x1b" not in subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout

"""The notebooks: they run from the first cell to the last, as somebody who has softmax-kit runs them."""

import ast
import json
import subprocess
from pathlib import Path
from typing import Any

import matplotlib.figure
import pytest

from tests.reader import ROOT
from trainer import Dataset

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
DIGITS = ROOT / "docs" / "notebooks" / "digits_to_device.ipynb"


def cells(notebook: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return found


def shown(cell: dict[str, Any], namespace: dict[str, Any]) -> Any:
    """Run a cell; what its last line is, if it is an expression, which a notebook shows below it."""
    tree = ast.parse("".join(cell["source"]))
    last = tree.body.pop()
    if not isinstance(last, ast.Expr):
        return exec("".join(cell["source"]), namespace)
    exec(compile(tree, "a cell", "exec"), namespace)
    return eval(compile(ast.Expression(last.value), "a cell", "eval"), namespace)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_nothing_that_was_printed_is_kept(notebook: Path) -> None:
    code = [cell for cell in cells(notebook) if cell["cell_type"] == "code"]
    assert all((cell["outputs"], cell["execution_count"]) == ([], None) for cell in code)


def test_from_digits_to_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: Dataset) -> None:
    """Nothing is installed where softmax-kit is, and each cell shows what the text above it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", None)
    namespace: dict[str, Any] = {}
    code = [cell for cell in cells(DIGITS) if cell["cell_type"] == "code"]
    installed, epoch, weights, parity, selftest, top, accuracy = [shown(cell, namespace) for cell in code]
    assert installed is None
    assert epoch.test_accuracy > 0.95
    assert isinstance(weights, matplotlib.figure.Figure)
    assert len(weights.axes) == 10
    assert (parity.label_flips, Path("digits.onnx").exists()) == (0, True)
    assert selftest < 1e-5
    assert top[0][0] == digits.labels[int(digits.test.targets[0])]
    assert float(accuracy) > 0.95


@pytest.mark.parametrize("wheel", [True, False])
def test_the_first_cell_installs_softmax_kit(wheel: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel that was uploaded, or else the release."""
    monkeypatch.chdir(tmp_path)
    if wheel:
        Path("softmax_kit-0.1.0-py3-none-any.whl").touch()
    typed: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: typed.append(command))  # noqa: ARG005
    first = "".join(next(cell for cell in cells(DIGITS) if cell["cell_type"] == "code")["source"])
    exec(first.replace('version("softmax-kit")', 'version("not-installed")'), {})
    kit = "./softmax_kit-0.1.0-py3-none-any.whl" if wheel else "softmax-kit"
    assert [command[1:] for command in typed] == [["-m", "pip", "install", "--quiet", f"{kit}[train]"]]

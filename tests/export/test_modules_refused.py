"""Modules of torch that cannot be exported, or not as they are: nothing is written."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import runtime
from export import ExportError, ParityError, to_onnx, to_torchscript
from export.formats.compatibility import release
from runtime import ArtefactError, ImageContract, KitError
from runtime.session import onnxruntime
from tests.export.subjects import MEAN, Subject, Write
from tests.interpreter import run_python

ROOT = Path(__file__).parents[2]
NEWEST = release(onnxruntime().__version__).opset

pytestmark = pytest.mark.usefixtures("one_thread")


class Otherwise(torch.nn.Module):
    """Gives other answers in the exported file than in torch."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        factor = 2
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            factor = 2 if torch.onnx.is_in_onnx_export() else 1
        return factor * self.network(x)  # type: ignore[no-any-return]


class Random(Otherwise):
    """Drops out in evaluation too."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.dropout(self.network(x), training=True)


class OneBranch(Otherwise):
    """Decides by the values of the image."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x) if float(x.mean()) > 0.5 else self.network(-x)  # type: ignore[no-any-return]


class PairsOnly(Otherwise):
    """Treats a batch of two in another way."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x.reshape(2, 1, 12, 10) if len(x) == 2 else x)  # type: ignore[no-any-return]


class Numpy(Otherwise):
    """Leaves torch on the way."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        order = np.argsort([float(row.mean()) for row in x.numpy()])
        return self.network(x[order.tolist()])  # type: ignore[no-any-return]


def corrupted(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make torch.onnx.export return a model with one weight that is off."""

    def export(*arguments: Any, **named: Any) -> Any:
        model = function(*arguments, **named).model_proto
        weights = onnx.numpy_helper.to_array(model.graph.initializer[0]).copy()
        weights.flat[0] += 0.5
        model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weights, model.graph.initializer[0].name))
        return SimpleNamespace(model_proto=model)

    return export


def assert_stopped(
    network: Any, write: Write, about: dict[str, Any], folder: Path, kind: type[KitError], message: str
) -> None:
    """An export that fails leaves the older file as it is, and nothing else."""
    path = folder / "model"
    path.write_bytes(b"older")
    with pytest.raises(kind, match=message):
        write(network, path, **about)
    assert path.read_bytes() == b"older"
    assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize("module", [Otherwise, Random])
def test_a_file_that_answers_otherwise_is_not_kept(
    module: type[Otherwise], small: Subject, write: Write, tmp_path: Path
) -> None:
    message = r"expected probabilities within 1e-05 of .*, found a difference of .*; the file was not kept"
    assert_stopped(module(small.network), write, small.about, tmp_path, ParityError, message)


def test_a_file_with_a_wrong_weight_is_not_kept(
    small: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.onnx, "export", corrupted(torch.onnx.export))
    message = r"expected probabilities within 1e-05 of .*, found a difference of .*; the file was not kept"
    assert_stopped(small.network, to_onnx, small.about, tmp_path, ParityError, message)
    path = to_onnx(small.network, tmp_path / "model", **small.about, tolerance=0.9).path
    assert runtime.load(path).selftest() > 1e-3


@pytest.mark.parametrize(
    ("module", "write", "message"),
    [
        (
            OneBranch,
            to_onnx,
            r"that torch.onnx.export can write, found one that fails \(Guard.*: change the module, or ",
        ),
        (PairsOnly, to_onnx, r"for any batch size, found that torch can export it only for batch size 2: let "),
        (Numpy, to_onnx, r"that torch.onnx.export can write, found one that fails .*, or use to_torchscript$"),
        (Numpy, to_torchscript, r"that torch.jit.script can read, found one that fails .*, or use to_onnx$"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_modules_that_cannot_be_exported(
    module: type[Otherwise],
    write: Write,
    message: str,
    small: Subject,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    network = module(small.network)
    assert_stopped(network, write, small.about, tmp_path, ExportError, f"^expected a module {message}")
    assert capfd.readouterr() == ("", "")


COLOUR, UNNAMED = (
    ImageContract(height=12, width=10, color="RGB"),
    "kit.labels: expected at least 2 different, non-empty",
)


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        ({"labels": ["x", "y"]}, ExportError, "expected logits [2, 2] for 2 images and 2 labels, found [2, 3]: give a"),
        ({"labels": []}, ExportError, "expected logits [2, 0] for 2 images and 0 labels, found [2, 3]"),
        ({"labels": ["x", "y", "x"]}, ArtefactError, UNNAMED),
        ({"labels": ["x", "y", ""]}, ArtefactError, UNNAMED),
        ({"labels": ["x", "y", 3]}, ArtefactError, UNNAMED),
        (
            {"image": COLOUR},
            ExportError,
            "expected a module that takes images [N, 3, 12, 10] in float32, found one that fails (RuntimeError: ",
        ),
        (
            {"examples": np.zeros((2, 12, 12, 1), np.uint8)},
            ExportError,
            "expected examples of uint8 [G, 12, 10, 1], at least one, found uint8 [2, 12, 12, 1]: pass raw pixels of",
        ),
        ({"examples": np.zeros((2, 12, 10, 1))}, ExportError, "found float64 [2, 12, 10, 1]: pass raw pixels"),
        ({"examples": np.zeros((12, 10, 1), np.uint8)}, ExportError, "found uint8 [12, 10, 1]"),
        ({"examples": np.zeros((0, 12, 10, 1), np.uint8)}, ExportError, "at least one, found uint8 [0, 12, 10, 1]"),
        (
            {"mean": MEAN},
            ExportError,
            "expected mean and std of 1 finite numbers, std above 0, found [0.485, 0.456, 0.406] and [1.0]: give one a",
        ),
        ({"mean": [float("nan")]}, ExportError, "expected mean and std of 1 finite numbers, std above 0, found [nan]"),
        ({"std": [0]}, ExportError, "expected mean and std of 1 finite numbers, std above 0, found [0.0] and [0.0]"),
        ({"outputs": "p"}, ExportError, "expected outputs of 'logits' or 'probabilities', found 'p'"),
        ({"tolerance": 0}, ExportError, "expected a tolerance above 0 and below 1, found 0"),
        ({"provenance": {"file": Path("x")}}, ExportError, "expected a provenance that is JSON, found one that is not"),
        ({"provenance": {"loss": float("nan")}}, ExportError, "expected a provenance that is JSON"),
    ],
)
def test_what_cannot_be_said_of_a_module(
    said: dict[str, Any], kind: type[KitError], message: str, small: Subject, write: Write, tmp_path: Path
) -> None:
    assert_stopped(small.network, write, small.about | said, tmp_path, kind, re.escape(message))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"opset": 20, "target_ort": "1.15"}, "to 18, which onnxruntime 1.15 loads, found 20"),
        ({"opset": 17}, "expected an opset from 18, the oldest that torch's exporter writes, found 17: leave it out"),
        ({"opset": NEWEST + 1}, f"found {NEWEST + 1}"),
        ({"target_ort": "1.14"}, "expected onnxruntime 1.15 or newer, found 1.14"),
    ],
)
def test_opsets_that_cannot_be_written(said: dict[str, Any], message: str, small: Subject, tmp_path: Path) -> None:
    assert_stopped(small.network, to_onnx, small.about | said, tmp_path, ExportError, re.escape(message))


def test_an_opset_that_torch_falls_back_from(small: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    function = torch.onnx.export
    monkeypatch.setattr(torch.onnx, "export", lambda *given, **named: function(*given, **named | {"opset_version": 18}))
    message = "expected opset 20, found that torch writes this module in 18: choose that"
    assert_stopped(small.network, to_onnx, small.about | {"opset": 20}, tmp_path, ExportError, message)


@pytest.mark.parametrize(
    ("said", "name"), [({"means": [0.5]}, "means"), ({"labels": None}, "labels"), ({"image": None}, "image")]
)
def test_misspelt_and_missing_settings(
    said: dict[str, Any], name: str, small: Subject, write: Write, tmp_path: Path
) -> None:
    about = {key: value for key, value in (small.about | said).items() if value is not None}
    with pytest.raises(TypeError, match=f"'{name}'"):
        write(small.network, tmp_path / "model", **about)


@pytest.mark.spawns
def test_a_missing_extra(tmp_path: Path) -> None:
    code = """
from export import to_onnx
from tests.export.test_modules import greyscale
subject = greyscale()
try:
    to_onnx(subject.network, "model.onnx", **subject.about)
except ImportError as error:
    print(error)
"""
    result = run_python(code, cwd=tmp_path, without=["onnxscript"], environment={"PYTHONPATH": str(ROOT)})
    message = "exporting a module to ONNX needs onnxscript, which is not installed: pip install 'softmax-kit[train]'"
    assert (result.returncode, result.stdout) == (0, f"{message}\n"), result.stderr


@pytest.mark.parametrize("write", [to_onnx, to_torchscript])
def test_a_file_name_of_another_format_is_refused_before_the_module_runs(write: Any, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"expected a file name for .*, found that it ends in .pt2: end it in"):
        write(torch.nn.Identity(), tmp_path / "m.pt2", labels=["a", "b"], image=ImageContract(height=2, width=2))

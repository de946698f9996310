"""The opset of a file, for the onnxruntime that has to load it."""

from pathlib import Path
from typing import Any

import onnx
import pytest

import runtime
from export import ExportError, export
from export.formats import FORMATS
from export.formats.compatibility import release
from runtime.session import onnxruntime
from trainer import Checkpoint

FOR_ONNXRUNTIME = [name for name, kind in FORMATS.items() if kind.runs_on == "onnxruntime"]
FOR_TORCH = [name for name, kind in FORMATS.items() if kind.runs_on == "torch"]
NEWEST = release(onnxruntime().__version__).opset


@pytest.mark.parametrize("name", FOR_ONNXRUNTIME)
@pytest.mark.parametrize("opset", range(13, NEWEST + 1))
def test_every_opset_that_onnxruntime_loads(name: str, opset: int, checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = export(checkpoint, name, tmp_path / "model", opset=opset).path
    assert runtime.load(path).selftest() < FORMATS[name].tolerance
    if name != "ort":
        proto = onnx.load(path)
        assert (proto.ir_version, proto.opset_import[0].version) == (7, opset)


@pytest.mark.parametrize("opset", [12, NEWEST + 1, 0, -1])
def test_opsets_out_of_range(opset: int, checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=rf"expected an opset from 13 to {NEWEST}, which onnxruntime .* loads, found"):
        export(checkpoint, "onnx", tmp_path / "model.onnx", opset=opset)


def test_an_older_onnxruntime_limits_the_opset(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = export(checkpoint, "onnx", tmp_path / "model.onnx", target_ort="1.15").path
    proto = onnx.load(path)
    assert (proto.ir_version, proto.opset_import[0].version) == (7, 13)
    newest = release("1.15").opset
    with pytest.raises(ExportError, match=f"from 13 to {newest}, which onnxruntime 1.15 loads, found {newest + 1}"):
        export(checkpoint, "onnx", tmp_path / "model.onnx", target_ort="1.15", opset=newest + 1)


def test_no_such_file_for_an_older_onnxruntime(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"expected an ort file for onnxruntime 1\.15, found that it does not load"):
        export(checkpoint, "ort", tmp_path / "model.ort", target_ort="1.15")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FOR_TORCH)
@pytest.mark.parametrize("keywords", [{"opset": 13}, {"target_ort": "1.15"}])
def test_no_opset_without_onnxruntime(
    name: str, keywords: dict[str, Any], checkpoint: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=f"expected no opset and no onnxruntime version for {name}, which torch"):
        export(checkpoint, name, tmp_path / "model", **keywords)

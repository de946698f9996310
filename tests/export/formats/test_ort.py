"""The .ort file: onnxruntime's own format."""

from pathlib import Path

import pytest

import runtime
from export import export
from tests.interpreter import run_python
from trainer import Checkpoint, save_checkpoint


def test_it_is_in_onnxruntimes_format(exported: dict[str, Path]) -> None:
    assert exported["ort"].read_bytes()[4:8] == b"ORTM"


def test_it_carries_what_the_onnx_file_carries(exported: dict[str, Path]) -> None:
    found, expected = (runtime.load(exported[name]).metadata for name in ("ort", "onnx"))
    assert found.to_json() == expected.to_json()


@pytest.mark.spawns
def test_no_torch_is_loaded(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """onnxruntime's tools, whose classes are used, import torch where it is installed."""
    save_checkpoint(checkpoint, tmp_path / "model.safetensors")
    code = "import kit\nkit.main(['export', 'model.safetensors', '--format', 'ort'], standalone_mode=False)\n"
    result = run_python(code + "print('torch' in sys.modules)", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "False"


def test_equal_exports(checkpoint: Checkpoint, exported: dict[str, Path], tmp_path: Path) -> None:
    again = export(checkpoint, "ort", tmp_path / "model.ort").path
    assert again.read_bytes() == exported["ort"].read_bytes()

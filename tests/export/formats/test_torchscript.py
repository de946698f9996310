"""The TorchScript file."""

import json
import warnings
from pathlib import Path

import pytest
import torch

from export import ExportError, export
from export.formats.torchscript import open_artefact
from runtime import ArtefactError
from tests.interpreter import run_python
from trainer import Checkpoint, Dataset, Fit, save_checkpoint


def load(path: Path) -> tuple[torch.jit.ScriptModule, str]:
    extra = {"kit.json": ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.load(str(path), _extra_files=extra), extra["kit.json"]


def test_it_stands_alone(exported: dict[str, Path], digits: Dataset, digits_fit: Fit) -> None:
    """torch alone opens it: uint8 [N, H, W, C] in, probabilities out, the metadata beside."""
    module, text = load(exported["torchscript"])
    found = module(digits.test.images)
    torch.testing.assert_close(found, digits_fit.model.probabilities(digits.test.images[:]), rtol=0, atol=1e-5)
    assert found.dtype == torch.float32
    document = json.loads(text)
    assert document["labels"] == list(digits.labels)
    assert document["image"] == {"height": 8, "width": 8, "color": "L", "fit": "stretch", "filter": "bilinear"}


def test_it_is_frozen(exported: dict[str, Path]) -> None:
    module, _ = load(exported["torchscript"])
    assert list(module.parameters()) == list(module.buffers()) == []


@pytest.mark.spawns
def test_no_warning_reaches_the_user(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(checkpoint, tmp_path / "model.safetensors")
    code = "import kit\nkit.main(['export', 'model.safetensors', '--format', 'torchscript'])"
    result = run_python(code, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.spawns
def test_without_torch(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(checkpoint, tmp_path / "model.safetensors")
    code = "import kit\nkit.main(['export', 'model.safetensors', '--format', 'torchscript'])"
    result = run_python(code, cwd=tmp_path, without=["torch"])
    assert (result.returncode, result.stdout) == (1, "")
    message = "exporting to .pt needs torch, which is not installed: pip install 'softmax-kit[train]'"
    assert result.stderr == f"kit: {message}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_files_that_are_none(tmp_path: Path, exported: dict[str, Path]) -> None:
    (tmp_path / "model.pt").write_bytes(b"nothing")
    with pytest.raises(ExportError, match="expected a TorchScript file, found one that torch refuses"):
        open_artefact(tmp_path / "model.pt")
    (tmp_path / "model.pt").write_bytes(exported["torchscript"].read_bytes()[:3000])
    with pytest.raises(ExportError, match="expected a TorchScript file, found one that torch refuses"):
        open_artefact(tmp_path / "model.pt")


def test_a_torchscript_file_of_others(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.ReLU()), tmp_path / "model.pt")
    with pytest.raises((ArtefactError, ExportError)):
        open_artefact(tmp_path / "model.pt")


def test_report(checkpoint: Checkpoint, tmp_path: Path) -> None:
    report = export(checkpoint, "torchscript", tmp_path / "model.pt")
    assert report.size == report.path.stat().st_size
    assert report.parity.label_flips == 0

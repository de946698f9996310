"""What an install brings and what it can do, each in an environment of its own."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.environments import install
from trainer import Checkpoint, Dataset, save_checkpoint

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120, check=False)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("plain"), [str(ROOT)]).parent


def test_the_plain_install_is_small(plain: Path, tmp_path: Path) -> None:
    listed = run(plain / "python", "-m", "pip", "list", "--format", "freeze", cwd=tmp_path).stdout
    names = {line.partition("==")[0].partition(" ")[0].lower() for line in listed.splitlines()}
    assert {"numpy", "onnxruntime", "click", "softmax-kit"} <= names
    assert names & {"torch", "torchvision", "onnx", "pillow", "safetensors", "scikit-learn", "tqdm"} == set()


def test_the_plain_install_classifies(plain: Path, model: Path, digits: Dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "digit.npy", digits.test.images[0].numpy())
    result = run(plain / "python", ROOT / "examples" / "deploy.py", model, "digit.npy", cwd=tmp_path)
    assert result.stdout.startswith("digit.npy: 1 (probability "), result.stderr
    assert result.stdout.endswith("; torch is not installed\n")


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [(["train", "--data", "digits"], "train"), (["export"], "export"), (["classify", "i.png", "--model"], "image")],
)
def test_the_plain_install_says_what_is_missing(
    plain: Path, model: Path, checkpoint: Checkpoint, arguments: list[str], extra: str, tmp_path: Path
) -> None:
    save_checkpoint(checkpoint, tmp_path / "runs" / "digits" / "model.safetensors")
    Image.new("L", (8, 8)).save(tmp_path / "i.png")
    result = run(plain / "kit", *arguments, *([model] if arguments[-1] == "--model" else []), cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].endswith(f"which is not installed: pip install 'softmax-kit[{extra}]'")


def test_the_export_extra_exports_onnx_and_asks_for_more_for_torchscript(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    commands = install(tmp_path / "environment", [f"{ROOT}[export]"]).parent
    save_checkpoint(checkpoint, tmp_path / "model.safetensors")
    result = run(commands / "kit", "export", "model.safetensors", "--format", "onnx", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "model.onnx").exists()
    result = run(commands / "kit", "export", "model.safetensors", "--format", "torchscript", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.endswith("pip install 'softmax-kit[train]'\n")
    assert run(commands / "python", "-c", "import torch", cwd=tmp_path).returncode == 1

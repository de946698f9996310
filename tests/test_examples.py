"""The examples, run as their users run them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import runtime
from tests.interpreter import run_python

EXAMPLES = Path(__file__).parents[1] / "examples"


def run_example(name: str, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, EXAMPLES / name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120, check=False)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    result = run_example("sample_image.py", "digits", "0", "sample", cwd=folder)
    assert result.stdout == "sample.png, sample.npy: a test image that shows '1'\n", result.stderr
    return folder


def test_deploy(sample: Path, model: Path) -> None:
    expected = runtime.classify(np.load(sample / "sample.npy"), model=model)
    for name in ("sample.npy", "sample.png"):
        result = run_example("deploy.py", model, name, cwd=sample)
        assert result.stdout == (
            f"{name}: {expected.label} (probability {expected.probability:.4f}); torch is installed\n"
        ), result.stderr


def test_deploy_without_torch(sample: Path, model: Path) -> None:
    code = "import runpy\nsys.argv[:] = sys.argv[1:]\nrunpy.run_path(sys.argv[0], run_name='__main__')"
    code = f"import importlib.util\nimportlib.util.find_spec = lambda name: None\n{code}"
    result = run_python(code, EXAMPLES / "deploy.py", model, "sample.npy", cwd=sample, without=["torch", "PIL", "onnx"])
    assert result.stdout.endswith("torch is not installed\n"), result.stderr


def test_deploy_with_a_bad_image(sample: Path, model: Path) -> None:
    result = run_example("deploy.py", model, "absent.png", cwd=sample)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("deploy.py: absent.png: expected an image file")


@pytest.mark.parametrize("name", ["deploy.py", "sample_image.py"])
def test_wrong_calls_show_the_usage(name: str, tmp_path: Path) -> None:
    result = run_example(name, cwd=tmp_path)
    assert result.returncode == 1
    assert "Usage: python" in result.stderr

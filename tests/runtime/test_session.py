"""Sessions of onnxruntime: quiet, on the providers and with the threads that were asked for."""

from pathlib import Path
from typing import Any

import pytest

import runtime
from runtime import ArtefactError
from tests.backends import of_onnxruntime
from tests.interpreter import run_python

pytestmark = of_onnxruntime


@pytest.mark.spawns
def test_onnxruntime_is_opened_quietly(model: Path, tmp_path: Path) -> None:
    """No telemetry, nothing printed, nothing written to the user's folders, one thread."""
    code = """
import os
import numpy as np
import runtime
runtime.classify(np.zeros((8, 8), np.uint8), model=sys.argv[1])
print(os.environ["ORT_DISABLE_TELEMETRY"], len(os.listdir("/proc/self/task")))
"""
    environment = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "OPENBLAS_NUM_THREADS": "1"}
    result = run_python(code, model, environment=environment)
    assert (result.stdout, result.stderr) == ("1 1\n", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("providers", [["CUDAExecutionProvider", "CPUExecutionProvider"], ["NoSuch"], []])
def test_providers_that_are_not_there(model: Path, providers: list[str]) -> None:
    with pytest.raises(
        ArtefactError, match=r"expected providers out of .*CPUExecutionProvider, found (CUDA|NoSuch|none)"
    ):
        runtime.load(model, providers=providers)


def test_a_provider_that_onnxruntime_leaves_out(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It claims to have a provider, opens the session and falls back to the CPU."""
    ort = runtime.session.onnxruntime()
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    real = ort.InferenceSession
    monkeypatch.setattr(ort, "InferenceSession", lambda model, options, **_: real(model, options))
    with pytest.raises(
        ArtefactError, match="expected providers out of CPUExecutionProvider, found CUDAExecutionProvider"
    ):
        runtime.load(model, providers=["CUDAExecutionProvider", "CPUExecutionProvider"])


@pytest.mark.parametrize("threads", [0, -1, 1.5, None, True])
def test_threads_out_of_range(model: Path, threads: Any) -> None:
    with pytest.raises(ArtefactError, match="expected 1 to 1,024 threads, found"):
        runtime.load(model, threads=threads)


def test_settings_show_in_info(model: Path, exported: dict[str, Path]) -> None:
    info = runtime.load(model, threads=2, spinning=True).info()
    assert (info["threads"], info["providers"]) == (2, ["CPUExecutionProvider"])
    assert info["size"] == model.stat().st_size
    assert [runtime.load(exported[name]).info()["format"] for name in ("onnx", "onnx-int8", "ort")] == [
        "onnx",
        "onnx-int8",
        "ort",
    ]

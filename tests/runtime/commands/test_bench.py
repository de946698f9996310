"""`kit bench`: what it measures, its budgets, and what cannot be measured."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import runtime
from export.formats import FORMATS
from export.formats.compatibility import Target
from runtime.commands import bench
from runtime.session import onnxruntime
from tests.backends import NUMPY
from tests.interpreter import Kit, run_python
from trainer import Checkpoint

FIGURES = ["size_bytes", "load_ms", "cold_ms", "p50_us", "p99_us", "images_per_s_64", "images_per_s_1024", "rss_mb"]
QUICK = ("--seconds", "0.1")
MEASURED = {
    "size_bytes": 6000, "load_ms": 1.5, "cold_ms": 200.0, "p50_us": 10.0, "p99_us": 50.0,
    "images_per_s_64": 1e6, "images_per_s_1024": 2e6, "rss_mb": None,
}  # fmt: skip


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every artefact costs the same, and no memory can be measured."""
    monkeypatch.setattr("runtime.commands.bench.measure", lambda *_: dict(MEASURED))


@pytest.mark.spawns
def test_json(run_kit: Kit, exported: dict[str, Path]) -> None:
    paths = [exported["onnx"], exported["onnx-int8"]]
    result = run_kit("bench", *paths, "--json", *QUICK)
    assert (result.exit_code, result.stderr) == (0, "")
    for found, path in zip(json.loads(result.stdout), paths, strict=True):
        assert list(found) == ["artefact", *FIGURES, "machine"]
        assert (found["artefact"], found["size_bytes"]) == (str(path), path.stat().st_size)
        assert all(found[name] > 0 for name in FIGURES)
        assert found["p50_us"] <= found["p99_us"]
        assert found["load_ms"] < found["cold_ms"]
        assert found["machine"]["processors"] >= 1


@pytest.mark.spawns
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory is measured in another way")
def test_memory_is_that_of_the_fresh_process(model: Path) -> None:
    """Not of this one, which holds torch and these 300 MB, and not of a process that loads torch."""
    ballast = bytearray(b"x" * (300 * 2**20))
    peak = bench.measure(model, 0.1)["rss_mb"]
    assert peak
    assert len(ballast) / 2**20 > peak > 20


@pytest.mark.spawns
def test_needs_no_torch(model: Path) -> None:
    code = "import kit\nkit.main(['bench', sys.argv[1], '--seconds', '0.1'])"
    result = run_python(code, model, without=["torch", "onnx", "safetensors", "PIL", "trainer", "export"])
    assert (result.returncode, result.stderr) == (0, "")
    header, row, machine = result.stdout.splitlines()
    assert header.startswith("artefact")
    assert row.startswith(f"{model}  ")
    assert NUMPY or f", onnxruntime {onnxruntime().__version__}" in machine
    assert machine.endswith(f", backend {'numpy' if NUMPY else 'onnxruntime'}")


@pytest.mark.spawns
def test_what_lies_in_the_current_folder_is_not_imported(run_kit: Kit, model: Path) -> None:
    for name in ("json.py", "numpy.py", "runtime.py"):
        Path(name).write_text("raise SystemExit('imported')")
    assert run_kit("bench", model, *QUICK).exit_code == 0


@pytest.mark.spawns
def test_one_broken_of_several(run_kit: Kit, exported: dict[str, Path]) -> None:
    Path("folder").mkdir()
    Path("empty").touch()
    Path("cut.onnx").write_bytes(exported["onnx"].read_bytes()[:3000])
    broken = ["absent", "folder", "empty", "cut.onnx", exported["torchscript"]]
    result = run_kit("bench", *broken, exported["onnx-int8"], *QUICK)
    assert result.exit_code == 1
    shown = [line.split()[0] for line in result.stdout.splitlines()]
    assert shown == ["artefact", str(exported["onnx-int8"]), "system"]
    lines = result.stderr.splitlines()
    assert len(lines) == len(broken)
    for line, path in zip(lines, broken, strict=True):
        assert line.startswith(f"kit: {path}: expected an "), line
    as_json = run_kit("bench", *broken, "--json", *QUICK)
    assert as_json.exit_code == 1
    assert [(found["artefact"], list(found)) for found in json.loads(as_json.stdout)] == [
        (str(path), ["artefact", "error"]) for path in broken
    ]


@pytest.fixture
def write(checkpoint: Checkpoint, model: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write the digits artefact with other golden examples than its own."""

    def write(**changes: Any) -> Path:
        module, metadata = FORMATS["onnx"].load(), runtime.load(model).metadata
        metadata = metadata._replace(golden=metadata.golden._replace(**changes))
        path = tmp_path / "changed.onnx"
        path.write_bytes(module.write(module.prepare(checkpoint), metadata, Target()))
        return path

    return write


@pytest.mark.spawns
def test_no_figures_of_wrong_answers(run_kit: Kit, model: Path, write: Callable[..., Path]) -> None:
    path = write(probabilities=runtime.load(model).metadata.golden.probabilities[::-1].copy())
    result = run_kit("bench", path, *QUICK)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"kit: {path}: expected golden example ")


@pytest.mark.spawns
def test_answers_are_checked_while_they_are_timed(run_kit: Kit, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = runtime.Classifier.probabilities
    monkeypatch.setattr(runtime.Classifier, "probabilities", lambda self, pixels: real(self, pixels[::-1]))
    result = run_kit("bench", model, *QUICK)
    assert result.exit_code == 1
    assert result.stderr.startswith(
        f"kit: {model}: expected answers within 1e-05 of the trained model's while they were"
    )


@pytest.mark.spawns
def test_a_process_that_dies(run_kit: Kit, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for code, message in (
        ("raise ValueError('\x1b[31mbad')", r"ValueError: \x1b[31mbad"),
        ("exit(3)", "exit status 3"),
    ):
        monkeypatch.setattr("runtime.commands.fresh.FRESH", code)
        result = run_kit("bench", model, *QUICK)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == (
            f"kit: {model}: expected an answer from a fresh process, found that it failed ({message})\n"
        )


@pytest.mark.spawns
def test_a_batch_too_large_for_this_device(run_kit: Kit, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "MAX_BATCH_BYTES", 64 * 8 * 8)
    (found,) = json.loads(run_kit("bench", model, "--json", *QUICK).stdout)
    assert found["images_per_s_64"] > 0
    assert found["images_per_s_1024"] is None


@pytest.mark.usefixtures("measured")
def test_budgets_that_are_met(run_kit: Kit) -> None:
    for budget in ("p99_us=50", " p99_us = 50.5 , size_bytes=6e3,images_per_s_64=1e6,images_per_s_1024=0"):
        result = run_kit("bench", "a", "b", "--budget", budget)
        assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[1].split() == [
        "a", "6,000", "1.50", "200", "10.0", "50.0", "1,000,000", "2,000,000", "-"
    ]  # fmt: skip


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_budgets_that_are_exceeded(run_kit: Kit, arguments: list[str]) -> None:
    budget = "p99_us=49.9,cold_ms=300,rss_mb=90,images_per_s_64=2e6,images_per_s_1024=2e6"
    result = run_kit("bench", "a", "b\x1b", "--budget", budget, *arguments)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"kit: {path}: expected {complaint}"
        for path in ("a", r"b\x1b")
        for complaint in (
            "p99_us at most 49.9, found 50",
            "rss_mb at most 90, found none: it cannot be measured here",
            "images_per_s_64 at least 2e+06, found 1e+06",
        )
    ]
    assert "\x1b" not in result.stdout


WRONG = ["=1", "p99_us", "p99_us=", "p99_us=fast", "p99_us=nan", "p99_us=inf", "p99_us=-1", "p99_us=1,,", "speed=5"]


@pytest.mark.parametrize("budget", [*WRONG, "p99_us=1,p99_us=2", "\x1b[31m=1"])
def test_wrong_budgets(run_kit: Kit, budget: str) -> None:
    result = run_kit("bench", "a", "--budget", budget)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Invalid value for '--budget'" in result.stderr
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize("arguments", [[], ["a", "--seconds", "0"], ["a", "--seconds", "1000"]])
def test_wrong_calls(run_kit: Kit, arguments: list[str]) -> None:
    result = run_kit("bench", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")

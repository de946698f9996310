"""Where a run goes where no folder is named, what runs there are, and artefacts of an earlier checkpoint."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.interpreter import Kit
from trainer import Fit, FitConfig, fit, load_checkpoint, load_data, save_checkpoint
from trainer.report.folders import all_runs, folder_for, older_artefacts

SHORT = ["train", "--data", "digits", "--solver", "sgd", "--epochs", "1", "--no-report"]


def test_a_finished_run_is_never_replaced(run_kit: Kit) -> None:
    for name in ("digits", "digits-2", "digits-3"):
        result = run_kit(*SHORT)
        assert result.stdout.splitlines()[-1] == f"wrote runs/{name}/model.safetensors"
    assert sorted(path.name for path in Path("runs").iterdir()) == ["digits", "digits-2", "digits-3"]
    Path("runs/digits-2/model.safetensors").write_bytes(b"damaged")
    shutil.rmtree("runs/digits-3")
    assert folder_for("digits", resume=False) == Path("runs/digits-3")


def test_a_folder_that_is_named_is_replaced(run_kit: Kit) -> None:
    for seed in ("0", "1"):
        assert run_kit(*SHORT, "--out", "here", "--seed", seed).exit_code == 0
    assert load_checkpoint("here/model.safetensors").provenance["settings"]["seed"] == 1
    assert not Path("runs").exists()


@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    """The checkpoint of an unfinished fit."""
    saved, stops = list[Fit](), iter([False, True, True, True, True])
    config = FitConfig(solver="sgd", epochs=2, device="cpu", calibrate=False)
    fit(load_data("digits"), config, on_checkpoint=saved.append, stop=lambda: next(stops))
    save_checkpoint(saved[-1].checkpoint, tmp_path / "unfinished.safetensors")
    return tmp_path / "unfinished.safetensors"


def put(checkpoint: Path, folder: str, when: int) -> None:
    Path(folder).mkdir(parents=True)
    shutil.copy(checkpoint, Path(folder, "model.safetensors"))
    os.utime(Path(folder, "model.safetensors"), (when, when))


def test_resume_takes_the_newest_unfinished_run(run_kit: Kit, unfinished: Path) -> None:
    assert run_kit(*SHORT).exit_code == 0
    put(unfinished, "runs/digits-2", 2_000_000_000)
    put(unfinished, "runs/digits-3", 1_000_000_000)
    assert folder_for("digits", resume=True) == Path("runs/digits-2")
    assert folder_for("digits", resume=False) == Path("runs/digits-3")  # begun and never finished
    assert folder_for("photos", resume=True) == Path("runs/photos")
    options = ["train", "--data", "digits", "--solver", "sgd", "--epochs", "2", "--no-report", "--no-calibrate"]
    result = run_kit(*options, "--device", "cpu", "--resume")
    assert result.stdout.splitlines()[-1] == "wrote runs/digits-2/model.safetensors", result.stderr


def test_kit_runs(run_kit: Kit, unfinished: Path) -> None:
    assert run_kit("runs").stdout == "no runs below runs: `kit train` makes one\n"
    assert run_kit(*SHORT).exit_code == 0
    put(unfinished, "runs/digits-2", 1_000_000_000)
    put(unfinished, "runs/digits/unfinished", 1_000_000_000)
    put(unfinished, "runs/broken", 900_000_000)
    Path("runs/broken/model.safetensors").write_bytes(b"x")
    found = {run["run"]: run for run in json.loads(run_kit("runs", "--json").stdout)}
    assert {name: run["state"] for name, run in found.items()} == {
        "runs/digits": "finished",
        "runs/digits-2": "unfinished",
        "runs/broken": "damaged",
    }
    assert found["runs/digits"]["train_images"] == 1437
    assert found["runs/digits"]["features"] == "pixels"
    lines = run_kit("runs").stdout.splitlines()
    assert len(lines) == 4
    assert f"{found['runs/digits']['test_accuracy']:.4f}" in " ".join(lines)
    assert [run.folder.name for run in all_runs()][-1] == "digits-2"


def test_artefacts_of_an_earlier_checkpoint(run_kit: Kit) -> None:
    assert run_kit(*SHORT, "--out", "run").exit_code == 0
    assert run_kit("export", "run", "--format", "onnx", "--format", "ort").exit_code == 0
    assert list(older_artefacts(Path("run"))) == []
    assert "earlier checkpoint" not in run_kit("evaluate", "--model", "run/model.onnx", "--data", "digits").stderr
    result = run_kit(*SHORT, "--out", "run", "--seed", "1")
    assert [line for line in result.stderr.splitlines() if "earlier" in line] == [
        f"run/{name} is of an earlier checkpoint: export it again" for name in ("model.onnx", "model.ort")
    ]
    result = run_kit("evaluate", "--model", "run/model.onnx", "--data", "digits")
    assert result.exit_code == 0
    assert (
        "run/model.onnx: of another checkpoint than run/model.safetensors beside it: export it again" in result.stderr
    )
    assert older_artefacts(Path("nowhere")) is not None

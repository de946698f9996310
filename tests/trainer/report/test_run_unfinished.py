"""A run's folder: an unfinished fit lies in it, or beside an earlier model."""

import dataclasses
from pathlib import Path

import pytest

from trainer import Dataset, Fit, FitConfig, TrainerError, fit
from trainer.report.run import Run

FILES = {"MODEL_CARD.md", "history.csv", "model.safetensors", "predictions.csv", "report.json"}
UNFINISHED = {"unfinished/history.csv", "unfinished/model.safetensors"}


@pytest.fixture
def fits(tiny: Dataset) -> list[Fit]:
    """One after each of two epochs; the last one is finished."""
    found: list[Fit] = []
    fit(tiny, FitConfig(solver="sgd", epochs=2, device="cpu"), on_checkpoint=found.append)
    assert [one.finished for one in found] == [False, True]
    return found


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def run_in(folder: Path, data: Dataset) -> Run:
    return Run(folder, data, plots=False)


def test_an_unfinished_fit_lies_in_a_new_folder(tiny: Dataset, fits: list[Fit], tmp_path: Path) -> None:
    run = run_in(tmp_path, tiny)
    assert run.saved() is None
    run.save(fits[0])
    assert files(tmp_path) == {"history.csv", "model.safetensors"}
    assert run.unfinished_path == run.checkpoint_path == tmp_path / "model.safetensors"
    again = run_in(tmp_path, tiny)
    saved = again.saved()
    assert saved is not None
    assert saved.digest() == fits[0].checkpoint.digest()
    again.save(fits[0])
    assert files(tmp_path) == {"history.csv", "model.safetensors"}
    again.save(fits[1])
    assert files(tmp_path) == FILES


def test_an_unfinished_fit_lies_beside_a_model(tiny: Dataset, fits: list[Fit], tmp_path: Path) -> None:
    """It is what is resumed, and takes the model's place at its end."""
    run_in(tmp_path, tiny).save(fits[1])
    before = (tmp_path / "model.safetensors").read_bytes()
    run_in(tmp_path, tiny).save(fits[0])
    assert files(tmp_path) == FILES | UNFINISHED
    assert (tmp_path / "model.safetensors").read_bytes() == before
    run = run_in(tmp_path, tiny)
    saved = run.saved()
    assert saved is not None
    assert saved.progress is not None
    assert run.unfinished_path == tmp_path / "unfinished" / "model.safetensors"
    run.save(dataclasses.replace(fits[1], checkpoint=dataclasses.replace(fits[1].checkpoint, labels=("a", "b", "c"))))
    assert files(tmp_path) == FILES
    assert not (tmp_path / "unfinished").exists()
    assert (tmp_path / "model.safetensors").read_bytes() != before


@pytest.mark.parametrize("of", [None, 0, 1])
def test_an_unfinished_fit_is_discarded(of: int | None, tiny: Dataset, fits: list[Fit], tmp_path: Path) -> None:
    """What was there before it stays, and so does what another has put beside it."""
    if of is not None:
        run_in(tmp_path, tiny).save(fits[of])
    before = files(tmp_path)
    run = run_in(tmp_path, tiny)
    run.save(fits[0])
    if before:
        (tmp_path / "unfinished" / "notes.txt").touch()
    run.discard()
    assert files(tmp_path) == before | ({"unfinished/notes.txt"} if before else set())


def test_an_earlier_unfinished_fit_is_not_discarded(tiny: Dataset, fits: list[Fit], tmp_path: Path) -> None:
    """By a fit that ends before it has saved anything, anew or resumed."""
    for before in (fits[0], fits[1], fits[0]):
        run_in(tmp_path, tiny).save(before)
        found = files(tmp_path)
        run = run_in(tmp_path, tiny)
        run.discard()
        assert run.saved() is not None
        run.discard()
        assert files(tmp_path) == found


def test_a_run_of_another_process(tiny: Dataset, tmp_path: Path) -> None:
    """The parts that it has left are removed where nobody holds the folder."""
    folder = tmp_path / "run"
    for part in (folder / ".model.safetensors.1.part", folder / "unfinished" / ".history.csv.1.part"):
        part.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
    with run_in(folder, tiny).locked():
        assert files(folder) == {".lock"}
    (tmp_path / "file").touch()
    for place in ("file", "file/below"):
        with pytest.raises(TrainerError, match=": expected a place to write to, found: "):
            run_in(tmp_path / place, tiny).locked().__enter__()

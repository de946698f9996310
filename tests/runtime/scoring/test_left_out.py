"""What kit wrote itself among the images of `kit classify`."""

from pathlib import Path

import pytest
from PIL import Image

from tests.interpreter import Kit


@pytest.mark.parametrize("out", ["runs/few", "out"])
def test_runs_and_predictions_among_the_images_are_left_out(
    out: str, photos: Path, run_kit: Kit, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever they are called; an image in them is a plot."""
    monkeypatch.chdir(photos)
    before = run_kit("classify", ".", "--model", model).stdout
    run = photos / out
    run.mkdir(parents=True)
    for name in ("model.safetensors", "history.csv", "report.json"):
        (run / name).touch()
    Image.new("L", (8, 8)).save(run / "curves.png")
    run_kit("classify", ".", "--model", model, "--output", "predicted")
    found = run_kit("classify", ".", "--model", model)
    assert (found.exit_code, found.stdout) == (0, before)
    for folder in (out, "predicted"):
        assert f".: {folder} is left out: kit wrote it" in found.stderr

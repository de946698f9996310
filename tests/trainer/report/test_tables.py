"""Tables as CSV: predictions with names, and cells that no spreadsheet runs."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.interpreter import Kit
from trainer.data.names import numbered
from trainer.report.tables import as_csv, plain, predictions_csv


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-cmd", "@SUM(A1)", "\tx", '=HYPERLINK("http://x","y")'])
def test_a_formula_is_text(cell: str) -> None:
    assert plain(cell) == "'" + cell
    assert read(as_csv(["label"], [[cell]]))[1] == ["'" + cell]


def test_a_carriage_return_is_escaped() -> None:
    assert read(as_csv(["label"], [["\r=x"]]))[1] == ["\\r=x"]


@pytest.mark.parametrize("cell", ["cat", "a,b", 'say "c"', "line\nbreak", "鞋", "", 3, 0.5, None])
def test_other_cells_stay(cell: object) -> None:
    assert plain(cell) == cell


def test_a_name_that_is_no_utf_8() -> None:
    assert plain("a\udcff.png") == "a\\udcff.png"
    as_csv(["image"], [["a\udcff.png"]]).encode()


def test_predictions() -> None:
    probabilities = np.array([[0.75, 0.25], [0.125, 0.875]], np.float32)
    text = predictions_csv(numbered(2), ("=a", "b"), np.array([1, 1]), probabilities)
    assert read(text) == [
        ["image", "target", "label", "probability"],
        ["0", "b", "'=a", "0.75"],
        ["1", "b", "b", "0.875"],
    ]


def test_the_test_images_of_a_run_have_their_paths(run_kit: Kit, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for number in range(60):
        label = "dark" if number % 2 else "bright"
        folder = tmp_path / "photos" / ("test" if number >= 40 else "train") / label
        folder.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 100, (8, 8), np.uint8) + (0 if number % 2 else 100)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"image {number}.png")
    (tmp_path / "photos" / "train" / "dark" / "bad.png").write_bytes(b"no image")
    options = ["--image-size", "8", "--max-unreadable", "0.5", "--json"]
    result = run_kit("train", "--data", "photos", *options)
    assert result.exit_code == 0, result.stderr
    rows = read(Path("runs/photos/predictions.csv").read_text())[1:]
    assert len(rows) == 20
    for name, target, label, probability in rows:
        assert (tmp_path / "photos" / name).exists()
        assert name.split("/")[:2] == ["test", target]
        assert 0.5 <= float(probability) <= 1
        assert label in ("dark", "bright")
    right = sum(target == label for _, target, label, _ in rows) / 20
    assert right == json.loads(result.stdout)["figures"]["test_accuracy"]


def test_images_without_a_file_have_positions(run_kit: Kit) -> None:
    assert run_kit("train", "--data", "digits", "--solver", "sgd", "--epochs", "1", "--no-report").exit_code == 0
    rows = read(Path("runs/digits/predictions.csv").read_text())[1:]
    assert [row[0] for row in rows] == [str(place) for place in range(360)]

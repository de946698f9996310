"""The report on exporting."""

import sys
from pathlib import Path

import click
import numpy as np
import pytest

from benchmarks.report import export
from benchmarks.studies import damage

pytestmark = [pytest.mark.spawns, pytest.mark.slow]  # the exporters of `folder`

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")


@linux
@pytest.mark.parametrize("name", ["ours", "skl2onnx"])
def test_exports_answer_rightly(name: str, folder: Path) -> None:
    place = folder / name
    export.check_answers(name, place / "model.onnx", folder)
    about = export.about(place)
    assert about["files"] == 1
    assert about["size"] == (place / "model.onnx").stat().st_size
    if name == "ours":
        assert (about["opset"], about["ir"], about["oldest"]) == (13, 7, "1.15")


@linux
@pytest.mark.parametrize("name", ["ours", "skl2onnx"])
def test_an_export_that_answers_wrongly_is_refused(name: str, folder: Path) -> None:
    numbers = np.load(folder / "weights.npz")
    changed = damage.swapped(numbers["weights"], numbers["bias"])[0]
    path = damage.weights_replaced(folder / name, numbers["weights"], changed)
    with pytest.raises(click.ClickException, match=r"probabilities within 0\.0001 of the trained model's"):
        export.check_answers(name, path, folder)


def test_the_oldest_onnxruntime() -> None:
    assert [export.oldest(*versions) for versions in ((13, 7), (13, 10), (20, 9), (99, 7))] == [
        "1.15",
        "1.18",
        "1.17",
        "none up to 1.32",
    ]

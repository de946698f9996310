"""The report on classifying."""

import sys
from pathlib import Path

import click
import numpy as np
import pytest

from benchmarks.report import classify
from benchmarks.tools import latency

pytestmark = [pytest.mark.spawns, pytest.mark.slow]  # the exporters of `folder`

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")


@linux
@pytest.mark.parametrize("name", ["ours", "bare", "skl2onnx"])
def test_classifying(name: str, folder: Path) -> None:
    figures = classify.run(name, folder, 0.02)
    assert {"p50", "p99", "png_p50", "png_p99", "batch", "cold"} <= set(figures)
    assert figures["peak"] > 10_000_000


def test_classifying_refuses_wrong_answers(folder: Path) -> None:
    expected = np.load(folder / "expected.npy")
    np.testing.assert_array_equal(latency.right("it", expected, expected), expected.argmax(axis=1))
    with pytest.raises(click.ClickException, match="expected it: probabilities within"):
        latency.right("it", expected[:, ::-1], expected)

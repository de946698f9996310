"""The study of growth, on few images."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.studies import growth
from benchmarks.tools import measure
from tests.benchmarks.reading import cells


@pytest.mark.slow
@pytest.mark.spawns
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_growth(monkeypatch: pytest.MonkeyPatch) -> None:
    def fresh(function: Callable[..., dict[str, Any]], **settings: Any) -> dict[str, Any]:
        return function(**settings) if function is growth.in_memory else measure.fresh(function, **settings)

    monkeypatch.setattr(growth, "fresh", fresh)
    monkeypatch.setattr(growth, "EPOCH_IMAGES", 6000)
    in_memory, mapped = growth.compare([1000, 2000], rounds=1, mapped_size=2000)
    assert [row[0] for row in cells(in_memory)] == ["1,000", "2,000"]
    assert cells(mapped)[0][0] == "2,000"


def test_growth_fills_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "BLOCK", 7)
    images, targets = np.zeros((20, 28, 28, 1), np.uint8), np.zeros(20, np.int64)
    growth.fill(images, targets, seed=1)
    assert images.std(axis=(1, 2, 3)).min() > 50
    assert set(targets) <= set(range(growth.CLASSES))

"""The studies of accuracy and of the optimum, on few images."""

import numpy as np
import pytest
import torch

from benchmarks.studies import quality
from tests.benchmarks.reading import cells
from trainer import Dataset, FitConfig


def test_accuracy(made_up: Dataset) -> None:
    (table,) = quality.accuracies(
        made_up, {"peer": lambda: 0.5}, seeds=2, config=FitConfig(epochs=2, batch_size=32, device="cpu")
    )
    rows = {row[0]: row[1] for row in cells(table)}
    assert list(rows) == ["ours, seed 0", "ours, seed 1", "ours, mean", "ours, least", "peer"]
    assert float(rows["ours, least"]) > 0.8
    assert rows["peer"] == "0.5000"
    assert quality.scikit_learn_accuracy(made_up, "saga", 5) > 0.8


def test_optimum(made_up: Dataset) -> None:
    (table,) = quality.optima({"made up": made_up}, decays=(1e-2,))
    ((name, decay, ours, *_, higher, _),) = cells(table)
    assert (name, decay) == ("made up", "0.01")
    assert 0 < float(ours) < np.log(3)
    assert -1e-2 < float(higher) < 1e-4  # scikit-learn stops at a gradient of 1e-4, which leaves it a little higher


def test_objective() -> None:
    rng = np.random.default_rng(0)
    features, weights, bias = rng.normal(size=(50, 4)), rng.normal(size=(4, 3)), rng.normal(size=3)
    targets = rng.integers(0, 3, 50)
    logits = torch.from_numpy(features @ weights + bias)
    expected = float(torch.nn.functional.cross_entropy(logits, torch.from_numpy(targets))) + 0.05 * (weights**2).sum()
    assert quality.objective(features, targets, weights, bias, 0.1) == pytest.approx(expected, rel=1e-12)

"""The benchmarks at a tiny size: that they run, and refuse wrong answers; no time is asserted."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from benchmarks import core, growth, measure, quality, textbook, train, whole
from trainer import Dataset, FitConfig, Split


def cells(table: str) -> list[list[str]]:
    """Return a Markdown table's rows, without its head."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


@pytest.fixture
def made_up() -> Dataset:
    """600 training images that a few epochs tell apart."""
    targets = torch.arange(600) % 3
    images = (torch.rand(600, 8, 8, 1, generator=torch.Generator().manual_seed(0)) * 100).byte()
    images[:, :, :3, 0] += (60 * targets[:, None, None]).byte()
    split = Split(images, targets)
    return Dataset(name="made up", labels=("a", "b", "c"), train=split, test=split)


def test_core(made_up: Dataset) -> None:
    pixels, targets = made_up.train.images, made_up.train.targets.tolist()
    peer: textbook.Images = [(image[..., 0] / 255, target) for image, target in zip(pixels, targets, strict=True)]  # type: ignore[assignment]
    sweeps, epochs, accuracy = core.compare(made_up, peer, rounds=2, textbook_rounds=1, floor=0.3)
    assert [row[0] for row in cells(sweeps)] == [core.OURS, core.SWEEP, core.SAME_LAYOUT]
    assert [row[0] for row in cells(epochs)] == [core.OURS, core.TEXTBOOK]
    assert accuracy.startswith("test accuracy")


def test_core_refuses_a_model_that_did_not_learn(made_up: Dataset) -> None:
    with pytest.raises(click.ClickException, match="expected ours: a test accuracy of at least"):
        list(core.compare(made_up, [(torch.zeros(8, 8), 0)], rounds=1, textbook_rounds=1, floor=1.1))  # type: ignore[arg-type]


def test_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "trainer.report.plots.write_pictures", lambda *_, **__: None
    )  # takes seconds, and has its tests
    whole.check_report(whole.command("digits", tmp_path, tmp_path / "run", "--no-report"), 0.5)
    parts = whole.instrumented("digits", str(tmp_path))
    assert {"import torch", "load the data", "fit", "draw the pictures"} <= set(parts)
    assert all(seconds > -0.5 for seconds in parts.values())  # a part less what is counted apart


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


def test_interleaved_takes_turns_after_a_warm_up() -> None:
    calls: list[str] = []
    seconds = measure.interleaved({name: lambda name=name: calls.append(name) for name in "ab"}, 2)  # type: ignore[misc]
    assert calls == ["a", "b"] * 3
    assert [len(seconds[name]) for name in "ab"] == [2, 2]


def test_interleaved_takes_the_clock_that_it_is_given() -> None:
    now = [0.0]
    costs = {"a": lambda: now.append(now[-1] + 1), "b": lambda: now.append(now[-1] + 2)}
    assert measure.interleaved(costs, 2, clock=lambda: now[-1]) == {"a": [1, 1], "b": [2, 2]}


def test_interleaved_waits_before_each_and_does_not_count_it(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    now = [0.0]
    costs = {"a": lambda: now.append(now[-1] + 1), "b": lambda: now.append(now[-1] + 2)}
    assert measure.interleaved(costs, 1, pause=0.5, clock=lambda: now[-1] + sum(waits)) == {"a": [1], "b": [2]}
    assert waits == [0.5] * 4


def test_comparison() -> None:
    table = measure.comparison({"ours": [3.0, 1.0, 2.0], "peer": [4.0]}, "ours", {"peer": 0.4})
    assert cells(table) == [
        ["ours", "2.000", "1.000", "", ""],
        ["peer", "4.000", "4.000", "0.500", "≤ 0.4: MISSED"],
    ]


@pytest.mark.parametrize("command", ["core", "whole", "accuracy", "optimum"])
def test_says_which_folder_is_missing(command: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(train.main, [command], env={"KIT_DATA_DIR": str(tmp_path)})
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "Fashion-MNIST" in result.stderr


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(click.ClickException, match="NameError"):
        measure.process("-c", "absent")

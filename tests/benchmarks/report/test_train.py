"""The report on training: that it runs and refuses wrong answers; no time is asserted."""

import sys
from pathlib import Path
from typing import Any

import click
import pytest

from benchmarks.report import train
from benchmarks.tools import measure, subject
from benchmarks.tools.measure import fresh

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")


@pytest.mark.slow
@pytest.mark.spawns
def test_training_counts_the_right_answers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = subject.arrays(folder, "test")[1].tolist()
    answers[0] = -1
    monkeypatch.setattr(train, "fresh", lambda *_, **__: {"answers": answers, "seconds": 1.0})
    assert train.run(train.ours, folder, {})["accuracy"] == pytest.approx(359 / 360)
    monkeypatch.setattr(train, "fresh", lambda *_, **__: {"answers": answers[1:], "seconds": 1.0})
    with pytest.raises(click.ClickException, match="expected 360 answers, found 359"):
        train.run(train.ours, folder, {})


def test_training_refuses_who_did_not_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    run = {"wall": 61.0, "seconds": 2.0, "accuracy": 0.5, "peak": 1, "note": ""}
    monkeypatch.setattr(train, "run", lambda *_: run)
    with pytest.raises(click.ClickException, match=r"a test accuracy of at least 0\.8, found 0\.5"):
        train.measure(Path(), rounds=2)


def test_slow_ones_train_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def run(contender: Any, *_: object) -> dict[str, Any]:
        calls.append(contender.__name__)
        wall = 61.0 if contender is train.textbook else 1.0
        return {"wall": wall, "seconds": 1.0, "accuracy": 0.9, "peak": 10, "note": ""}

    monkeypatch.setattr(train, "run", run)
    found = train.measure(Path(), rounds=3, iterations=7)
    assert {name: calls.count(name) for name in calls} == {"ours": 3, "textbook": 1, "logistic": 6, "sgd": 3}
    shares = measure.ratios(found, train.RATIOS)
    assert shares["time, the whole process"]["textbook: DataLoader, autograd, torch.optim.SGD"] == 61
    assert "≤ 7 iterations" in measure.compared(found, train.RATIOS, train.FIGURES)


@pytest.mark.spawns
@linux
@pytest.mark.slow
def test_scikit_learn_says_what_did_not_converge(folder: Path) -> None:
    figures = fresh(train.logistic, folder=str(folder), solver="saga", iterations=2)
    assert figures["note"] == "did not converge in 2 iterations"
    assert len(figures["answers"]) == 360

"""Timing in turns, tables, pages and processes."""

import click
import pytest

from benchmarks.tools import measure
from tests.benchmarks.reading import cells


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


def test_ratios() -> None:
    found: measure.Found = {"ours": {"a": 2.0, "b": 1.0}, "peer": {"a": 5.0}}
    assert measure.multiples(found, "a") == {"ours": 1.0, "peer": 2.5}
    assert measure.multiples(found, "b") == {"ours": 1.0}
    assert [measure.multiple(ratio) for ratio in (0.0123, 1, 2.345, 34.56, 123.4, 12345)] == [
        "0.0123", "1", "2.35", "34.6", "123", "12,345",
    ]  # fmt: skip


def test_figures_of_several_rounds() -> None:
    runs = {"ours": [{"s": 3.0, "note": "a"}, {"s": 1.0, "note": "b"}, {"s": 2.5, "note": "c"}]}
    assert measure.medians(runs) == {"ours": {"s": 2.5, "note": "c"}}


def test_ratios_of_rounds_do_not_see_the_clock() -> None:
    """The second round has half of the speed, the third a disturbance."""
    runs = {"ours": [{"s": 1.0}, {"s": 2.0}, {"s": 1.0}], "peer": [{"s": 3.0}, {"s": 6.0}, {"s": 9.0}]}
    assert measure.ratios_of_rounds(runs, {"time": "s"}) == {"time": {"ours": 1, "peer": 3}}


def test_a_cost_that_a_contender_does_not_have() -> None:
    found: measure.Found = {"ours": {"a": 2.0, "b": 1.0}, "peer": {"a": 5.0}}
    shares, figures = measure.compared(found, {"A": "a", "B": "b"}, {"a": lambda one: one["a"]}).split("\n\n")
    assert cells(shares) == [["ours", "1", "1"], ["peer", "2.5", measure.NONE]]
    assert cells(figures) == [["ours", "2.0"], ["peer", "5.0"]]


@pytest.mark.spawns
def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(click.ClickException, match="NameError"):
        measure.process("-c", "absent")

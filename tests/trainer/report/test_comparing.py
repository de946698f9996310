"""Comparing two runs: the interval against scipy's tests and simulated pairs, and what `kit compare` prints."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from tests.interpreter import Kit
from trainer import CheckpointError, ConfigError, compare
from trainer.report.comparing import Z, paired


def drawn(count: int, both: float, first: float, second: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Right answers of two models: both, the first alone, the second alone, with these probabilities."""
    kind = np.random.default_rng(seed).choice(4, count, p=[both, first, second, 1 - both - first - second])
    return kind <= 1, (kind == 0) | (kind == 2)


def test_the_quantile() -> None:
    assert pytest.approx(norm.ppf(0.975), abs=1e-12) == Z


@pytest.mark.parametrize(("first", "second"), [(0.05, 0.05), (0.04, 0.08), (0.01, 0.002), (0.1, 0.15)])
@pytest.mark.parametrize("count", [200, 10_000])
def test_the_interval_covers_the_true_difference(count: int, first: float, second: float) -> None:
    """In 95 % of 1,000 simulated pairs, and the sampling error of that."""
    covered = 0
    for seed in range(1000):
        found = paired(*drawn(count, 0.7, first, second, seed))
        covered += found.lowest <= second - first <= found.highest
    assert covered >= 950 - 2 * math.sqrt(1000 * 0.95 * 0.05)


def test_by_hand() -> None:
    first, second = np.array([True] * 8 + [False] * 2), np.array([True] * 6 + [False] * 2 + [True] * 2)
    found = paired(first, second)
    assert (found.difference, found.only_first, found.only_second) == (0.0, 2, 2)
    assert found.lowest == pytest.approx(-found.highest)
    assert not found.shown


def test_what_is_shown_agrees_with_mcnemars_exact_test() -> None:
    """But for pairs at the border."""
    agreed = 0
    for seed in range(300):
        found = paired(*drawn(400, 0.7, 0.05, 0.09, seed))
        exact = binomtest(found.only_second, found.only_first + found.only_second).pvalue < 0.05
        agreed += found.shown == exact
    assert agreed > 270


def test_equal_runs_show_none_and_four_points_on_10000_images_one() -> None:
    right = np.random.default_rng(0).random(10_000) < 0.8
    assert not paired(right, right).shown
    assert paired(right, right).difference == 0
    one, other = np.random.default_rng(1).random((2, 10_000))
    found = paired(one < 0.80, other < 0.84)
    assert found.shown
    assert found.lowest < 0.04 < found.highest


@pytest.fixture
def two(run_kit: Kit) -> tuple[str, str]:
    options = ["train", "--data", "digits", "--solver", "sgd", "--no-report"]
    for name, epochs in (("one", "1"), ("two", "8")):
        assert run_kit(*options, "--epochs", epochs, "--out", name).exit_code == 0
    return "one", "two"


def test_kit_compare(two: tuple[str, str], run_kit: Kit) -> None:
    found = json.loads(run_kit("compare", *two, "--json").stdout)
    assert found == compare(*two)
    accuracies = [row["test_accuracy"] for row in found["figures"]]
    assert found["difference"]["difference"] == pytest.approx(accuracies[1] - accuracies[0])
    assert found["difference"]["shown"] is True
    assert sum(row["images"] for row in found["classes"]) == found["images"] == 360
    assert len(found["history"]) == 9
    text = run_kit("compare", *two, "--plot", "both.png").stdout
    assert ": a difference is shown\n" in text
    assert text.startswith("run  test accuracy")
    assert Path("both.png").read_bytes().startswith(b"\x89PNG")
    assert ": no difference is shown\n" in run_kit("compare", "one", "one").stdout


def test_the_tables_are_taken_by_pandas(two: tuple[str, str]) -> None:
    pandas = pytest.importorskip("pandas")
    found = compare(*two)
    assert list(pandas.DataFrame(found["classes"])["label"].sort_values()) == [str(label) for label in range(10)]
    assert len(pandas.DataFrame(found["history"])) == 9


def test_what_cannot_be_compared(two: tuple[str, str], run_kit: Kit) -> None:
    shutil.copytree("one", "other")
    Path("other/predictions.csv").write_text(Path("one/predictions.csv").read_text().replace("\n359,", "\n360,"))
    with pytest.raises(ConfigError, match="expected runs of the same test images, found 360 in one and 360 others in"):
        compare("one", "other")
    Path("two/predictions.csv").unlink()
    with pytest.raises(CheckpointError, match=r"two: expected a finished run with predictions\.csv, found none"):
        compare(*two)
    for damage in ("{", "[]", '{"figures": 5}'):
        Path("one/report.json").write_text(damage)
        with pytest.raises(CheckpointError, match=r"one: expected a finished run with report\.json, found none"):
            compare(*two)
    result = run_kit("compare", "nothing", "two")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("kit: nothing: expected a finished run with report.json")

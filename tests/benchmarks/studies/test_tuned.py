"""Default training next to a tuned scikit-learn, on digits."""

import pytest

from benchmarks.studies.tuned import compare
from tests.benchmarks.reading import cells
from trainer import load_data


def test_compare() -> None:
    shares, figures = (cells(table) for table in compare([("digits", lambda: load_data("digits"))], seeds=1))
    ((name, images, ours, tuned, *_),) = figures
    assert (name, images) == ("digits", "1,437")
    assert min(float(ours), float(tuned)) > 0.95
    (digits, mean) = shares
    assert float(digits[1]) == pytest.approx(100 * (float(ours) - float(tuned)), abs=0.02)
    assert mean[1] == digits[1]

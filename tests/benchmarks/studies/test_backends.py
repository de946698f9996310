"""The benchmark of the backends, on digits."""

from pathlib import Path

import pytest

from benchmarks.studies import backends
from tests.benchmarks.reading import cells


@pytest.mark.slow
@pytest.mark.spawns
def test_compare(tmp_path: Path) -> None:
    answers, start = backends.compare("digits", None, tmp_path, rounds=1)
    assert [row[0] for row in cells(answers)] == list(backends.FORMATS)
    for _, difference, flips, *_ in cells(answers):
        assert float(difference) < 1e-5
        assert flips == "0"
    assert [row[0] for row in cells(start)] == ["start to the first answer, s", "peak memory, MB"]

"""The comparison of two checkouts, here of this one with itself."""

from pathlib import Path

import click
import pytest

from benchmarks.studies import against
from benchmarks.tools.measure import ROOT
from tests.benchmarks.reading import cells

pytestmark = [pytest.mark.spawns, pytest.mark.slow]


def test_compare(tmp_path: Path) -> None:
    (text,) = against.compare(ROOT, "digits", tmp_path, sizes=[256], rounds=2, pairs=1)
    assert text.startswith("Batch size 256:\n\n")
    assert [row[0] for row in cells(text.partition("\n\n")[2])] == [against.OURS, against.OTHER]


def test_a_folder_without_a_trainer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer" / "__init__.py").touch()
    with pytest.raises(click.ClickException, match="expected a training process that goes on, found its end"):
        list(against.compare(tmp_path, "digits", tmp_path, sizes=[256], rounds=1, pairs=1))

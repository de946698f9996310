"""The command `benchmarks.report`."""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.report import __main__ as report
from benchmarks.tools import measure
from tests.reader import ROOT

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")


def test_says_which_folder_is_missing(tmp_path: Path) -> None:
    result = CliRunner().invoke(report.main, [], env={"KIT_DATA_DIR": str(tmp_path)})
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "Fashion-MNIST" in result.stderr


def test_a_quick_run_is_not_published(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("")
    assert CliRunner().invoke(report.main, ["--quick", "--write", str(page)]).exit_code == 2


def test_pictures_can_be_drawn_again(tmp_path: Path) -> None:
    """As they are in docs/, whose tables have the same figures, but for the release of matplotlib."""
    page = tmp_path / "benchmarks.md"
    page.write_text((ROOT / "docs" / "benchmarks.md").read_text())
    assert CliRunner().invoke(report.main, ["--redraw", str(page)]).exit_code == 0
    shown = [path.stem.removeprefix("benchmarks-") for path in tmp_path.glob("*.svg")]
    assert set(report.QUESTIONS) <= set(shown)
    for name in shown:
        drawn, published = (texts(folder / f"benchmarks-{name}.svg") for folder in (tmp_path, ROOT / "docs"))
        assert drawn == published
        assert "logarithmic" in drawn


def texts(path: Path) -> str:
    return "\n".join(text.strip() for text in ET.parse(path).getroot().itertext() if text.strip())


@pytest.mark.spawns
@linux
@pytest.mark.slow
def test_the_quick_run(tmp_path: Path) -> None:
    output = measure.process("-m", "benchmarks.report", "--quick", "--data-dir", tmp_path)
    assert "digits: 1,437 training" in output
    assert all(f"## {title}" in output for title in report.QUESTIONS.values())

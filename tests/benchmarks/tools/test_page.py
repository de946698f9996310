"""Sections of pages, and the bar charts of their tables."""

from pathlib import Path

import click
import pytest

from benchmarks.tools import page
from benchmarks.tools.measure import compared

PAGE = """before
![a chart](page-one.svg)
<!-- one: begin -->
old
<!-- one: end -->
between
<!-- two: begin -->
<!-- two: end -->
"""
TABLES = compared({"ours": {"s": 2}, "a peer": {"s": 6}}, {"time": "s"}, {"s": lambda one: one["s"]})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def test_text_goes_between_the_marks_of_its_section(place: Path) -> None:
    page.put(place, "one", f"the machine\n\n{TABLES}")
    page.put(place, "two", "new")
    text = place.read_text()
    assert text == PAGE.replace("old", f"\nthe machine\n\n{TABLES}\n").replace(
        "<!-- two: begin -->", "<!-- two: begin -->\n\nnew\n"
    )


def test_a_chart_is_drawn_where_the_page_shows_one(place: Path) -> None:
    page.put(place, "two", TABLES)
    assert not list(place.parent.glob("*.svg"))
    page.put(place, "one", f"{TABLES}\n\n{TABLES.replace('3', '4')}")
    (drawn,) = place.parent.glob("*.svg")
    before = drawn.read_text()
    assert "a peer" in before
    assert "3×" in before
    drawn.unlink()
    page.redraw(place)
    assert drawn.read_text() == before


def test_a_page_without_the_marks_is_refused(place: Path) -> None:
    with pytest.raises(click.ClickException, match=r"three: begin.*put them in"):
        page.put(place, "three", "new")
    assert place.read_text() == PAGE
    with pytest.raises(click.ClickException, match="put them in"):
        page.show("A title", (pytest.fail(part) for part in "measured"), place, "three")


def test_a_picture_that_is_too_large_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MOST_PICTURE", 1000)
    with pytest.raises(click.ClickException, match="draw less"):
        page.put(place, "one", TABLES)


def test_ratios_that_are_not_there_are_left_out() -> None:
    table = "| contender; ÷ ours | flash | RAM |\n| --- | --- | --- |\n| ours | 1 | 1 |\n| a peer | – | 1,024 |"
    assert page.shares_of(table) == {"flash": {"ours": 1}, "RAM": {"ours": 1, "a peer": 1024}}


def test_what_is_shown_is_put_on_the_page(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page.show("A title", iter([TABLES]), place, "one")
    printed = capsys.readouterr().out
    assert printed.startswith("## A title\n")
    assert TABLES in printed
    assert printed.partition("\n\n")[2].strip() in place.read_text()

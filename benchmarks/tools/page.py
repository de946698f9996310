"""Pages of docs/ that hold what the benchmarks printed: sections between marks, and bar charts of their ratios.

A section is what stands between `<!-- NAME: begin -->` and `<!-- NAME: end -->`. Where the page shows PAGE-NAME.svg,
that is a bar chart of the first table of ratios in the section NAME.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from .bars import draw
from .measure import CONTENDERS, NONE, PACKAGES, Disturbance, machine

MOST_PICTURE = 100_000
Command = Callable[..., Any]

page_option = click.option(
    "--write",
    "page",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Page to put the tables into, with the bar charts that it shows.",
)


def show(
    title: str,
    parts: Iterable[str],
    page: Path | None = None,
    section: str = "",
    packages: Sequence[str] = PACKAGES,
) -> None:
    """Print a heading, the machine, and the parts as they come; put them into a section of a page, if there is one.

    packages: whose versions to print.
    """
    if page:
        around(page, section)  # fails before anything is measured
    disturbance, texts = Disturbance(), [machine(packages)]
    click.echo(f"## {title}\n\n{texts[0]}")
    for part in parts:
        texts.append(part)
        click.echo(f"\n{part}")
    texts.append(str(disturbance))
    click.echo(f"\n{texts[-1]}")
    if page:
        put(page, section, "\n\n".join(texts))


def put(page: Path, section: str, text: str) -> None:
    """Put text between the marks of a section, and draw the bar chart of it that the page shows."""
    head, tail = around(page, section)
    page.write_text(f"{head}\n\n{text}\n\n{tail}", encoding="utf-8")
    redraw(page, section)


def around(page: Path, section: str) -> tuple[str, str]:
    """What is before and after a section, with its marks. Raises ClickException for a page without these."""
    begin, end = marks(section)
    head, found, rest = page.read_text(encoding="utf-8").partition(f"{begin}\n")
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        raise click.ClickException(f"{page}: expected {begin} and {end}, found a page without: put them in")
    return head + begin, end + tail


def marks(section: str) -> tuple[str, str]:
    """Lines before and after a section."""
    return f"<!-- {section}: begin -->", f"<!-- {section}: end -->"


def redraw(page: Path, section: str = "[a-z-]+") -> None:
    """Draw the bar charts that a page shows, from its tables. section: of which; of all unless given."""
    text = page.read_text(encoding="utf-8")
    for name in re.findall(rf"!\[[^]]*\]\({page.stem}-({section})\.svg\)", text):
        begin, end = marks(name)
        path = page.with_name(f"{page.stem}-{name}.svg")
        draw(shares_of(text.partition(begin)[2].partition(end)[0]), path)
        size = path.stat().st_size
        if size > MOST_PICTURE:
            raise click.ClickException(f"{path}: expected at most {MOST_PICTURE:,} bytes, found {size:,}: draw less")


def shares_of(section: str) -> dict[str, dict[str, float]]:
    """Read the first table of ratios: by what is compared and by contender, its cost as a multiple of ours."""
    ratios = next(part for part in section.split("\n\n") if part.startswith(f"| {CONTENDERS} |"))
    head, *rows = cells_of(ratios)
    return {
        what: {name: float(found[place].replace(",", "")) for name, *found in rows if found[place] != NONE}
        for place, what in enumerate(head[1:])
    }


def cells_of(markdown: str) -> Iterator[list[str]]:
    """Yield the rows of a Markdown table, the head first."""
    for number, line in enumerate(markdown.splitlines()):
        if number != 1:
            yield line.strip("| ").split(" | ")

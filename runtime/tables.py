"""Tables of results, as wide as they are in a pipe, and to the width of a terminal on one."""

import math
import shutil
import sys
from collections.abc import Sequence
from textwrap import wrap

from .text import styled

GAP = "  "
BOLD = "1"


def table(rows: Sequence[Sequence[str]], *, numbers: bool = False) -> list[str]:
    """Lay out rows, the first of which are the titles; on a terminal that is too narrow, titles of several lines.

    Where that is still too wide, each row gets a block of its own, with a line for each cell that is not empty.

    numbers: whether all columns but the first are flush right.
    """
    most = room()
    head, *body = rows
    columns = list(zip(*body, strict=True)) if body else [()] * len(head)
    for titles in ([[title] for title in head], [_in_lines(*each) for each in zip(head, columns, strict=True)]):
        widths = [max(map(len, [*lines, *cells])) for lines, cells in zip(titles, columns, strict=True)]
        if sum(widths) + len(GAP) * (len(widths) - 1) <= most:
            deepest = max(map(len, titles))
            above = list(zip(*([""] * (deepest - len(lines)) + lines for lines in titles), strict=True))
            return [
                *(styled(line, BOLD) for line in _aligned(above, widths, numbers)), *_aligned(body, widths, numbers)
            ]  # fmt: skip
    return [line for row in body for line in _block(head, row)]


def room() -> float:
    """Return how many columns the terminal has; there is no limit where standard output is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else math.inf


def _in_lines(title: str, cells: Sequence[str]) -> list[str]:
    """Break a title between words, to the width of its longest word or cell."""
    longest = max(map(len, [*title.split(), *cells, " "]))
    return wrap(title, longest, break_long_words=False, break_on_hyphens=False) or [""]


def _aligned(rows: Sequence[Sequence[str]], widths: Sequence[int], numbers: bool) -> list[str]:
    flush = [str.ljust, *[str.rjust if numbers else str.ljust] * (len(widths) - 1)]
    return [
        GAP.join(align(cell, width) for align, cell, width in zip(flush, row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _block(head: Sequence[str], row: Sequence[str]) -> list[str]:
    width = max(map(len, head))
    first, *rest = zip(head, row, strict=True)
    lines = [f"{GAP}{title:<{width}}{GAP}{cell}".rstrip() for title, cell in rest if cell]
    return [styled(f"{first[0]} {first[1]}".strip(), BOLD), *lines]

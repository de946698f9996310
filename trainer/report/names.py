"""Class names in a plot: one line each, cut where they are long, and different where the labels differ."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from .model_card import plain_line

HEAD = 4  # characters kept of the start where another part tells names apart


def shorten(labels: Sequence[str], length: int) -> list[str]:
    """Cut labels to one line of at most `length` characters each, at least 10; an ellipsis stands for the middle.

    Labels that would look the same keep the part that tells them apart instead.
    """
    lines = [plain_line(label) for label in labels]
    cuts = _cuts({line: _middle(line, length) for line in lines}, length)
    return [cuts[line] for line in lines]


def _cuts(cuts: dict[str, str], length: int) -> dict[str, str]:
    """Keep the cuts that are unique, and cut the other lines somewhere else."""
    groups = defaultdict(list)
    for line, cut in cuts.items():
        groups[cut].append(line)
    for lines in groups.values():
        if len(lines) > 1:
            start = _telling(lines, length)
            cuts |= _cuts({line: _window(line, start, length) for line in lines}, length)
    return cuts


def _middle(line: str, length: int) -> str:
    if len(line) <= length:
        return line
    tail = (length - 1) // 2
    return f"{line[: length - 1 - tail].rstrip()}…{line[-tail:].lstrip()}"


def _window(line: str, start: int, length: int) -> str:
    stop = start + length - HEAD - 2  # for two ellipses
    return f"{line[:HEAD]}…{line[start:stop]}" + "…" * (len(line) > stop)


def _telling(lines: Iterable[str], length: int) -> int:
    """Find where a window shows the most lines as different; there is one that does for lines that differ."""
    starts = range(HEAD, max(map(len, lines)) + HEAD + 3 - length)
    return max(starts, key=lambda start: len({_window(line, start, length) for line in lines}))

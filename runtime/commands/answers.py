"""Answers to images on standard output, each as it comes: as lines, or as the items of one JSON list."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from textwrap import indent
from typing import Any, TypeAlias

from ..text import as_json, printable, say

Show: TypeAlias = Callable[[dict[str, Any], int], None]


@contextmanager
def as_lines() -> Iterator[Show]:
    """Give what prints an answer in a line, behind its name; images that cannot be read have none.

    The second argument is the length of the longest name that is known; the column never gets narrower again.
    """
    widest = 0

    def show(answer: dict[str, Any], width: int) -> None:
        nonlocal widest
        widest = max(widest, width)
        if "error" not in answer:
            top = "  ".join(f"{printable(entry['label'])} {entry['probability']:.4f}" for entry in answer["top"])
            say(f"{printable(answer['image']):<{widest}}  {top}")

    yield show


@contextmanager
def as_items() -> Iterator[Show]:
    """Give what prints an answer as an item of a list, which is ended at the end of the block, also of one that fails.

    A block that fails before the first answer prints nothing.
    """
    before, finished = "[\n", False

    def show(answer: dict[str, Any], _width: int) -> None:
        nonlocal before
        text, before = before + indent(as_json(answer), "  "), ",\n"
        say(text, end="")

    try:
        yield show
        finished = True
    finally:
        if before == ",\n":
            say("\n]")
        elif finished:
            say("[]")

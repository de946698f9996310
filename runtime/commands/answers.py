"""Answers to images on standard output, each as it comes: as lines, or as the items of one JSON list."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from textwrap import indent
from typing import Any, TypeAlias

from ..text import as_json, printable, say

NOT_ACCEPTED = "?"

Show: TypeAlias = Callable[[dict[str, Any], int], None]


@contextmanager
def as_lines(*, abstain: bool = True) -> Iterator[Show]:
    """Give what prints an answer in a line, behind its name; images that cannot be read have none.

    abstain: whether to print ? in place of the first label where the answer is not accepted or the image not familiar.

    The second argument is the length of the longest name that is known; the column never gets narrower again.
    """
    widest = 0

    def show(answer: dict[str, Any], width: int) -> None:
        nonlocal widest
        widest = max(widest, width)
        if "error" not in answer:
            labels = [printable(entry["label"]) for entry in answer["top"]]
            if abstain and False in (answer["accepted"], answer["familiar"]):
                labels[0] = NOT_ACCEPTED
            top = "  ".join(
                f"{label} {entry['probability']:.4f}" for label, entry in zip(labels, answer["top"], strict=True)
            )
            labels_of_set = f"  {{{', '.join(map(printable, answer['set']))}}}" if "set" in answer else ""
            say(f"{printable(answer['image']):<{widest}}  {top}{labels_of_set}")

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

"""Text for a terminal, without control characters that a file or an error may contain."""

import json
import os
import sys
from contextlib import suppress
from typing import Any, TextIO

RED = "31"


def one_line(error: object) -> str:
    """Write any text or exception on one line; where it is empty, the name of its type."""
    return " ".join(str(error).split()) or type(error).__name__


def printable(text: object) -> str:
    r"""Escape every control character and every invisible one, as in \x1b."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))


def as_json(document: Any) -> str:
    """Write a document for `--json`, in ASCII; numbers that JSON cannot represent become null."""
    clean = json.loads(json.dumps(document), parse_constant=lambda _: None)
    return json.dumps(clean, indent=2).replace("\x7f", "\\u007f")


def say(text: str, end: str = "\n") -> None:
    """Print on standard output, at once; characters outside of its encoding are escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), end=end, flush=True)


def complain(message: object) -> None:
    """Print an error on standard error, in one line; or what is to be noted, which begins with "note: "."""
    line = one_line(message)
    note(f"kit: {line}", style="" if line.startswith("note: ") else RED)


def note(text: object, style: str = "") -> None:
    """Print a line on standard error, if it can be written to; as `styled` says."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(styled(printable(text), style, sys.stderr), file=sys.stderr, flush=True)


def styled(text: str, style: str, stream: TextIO | None = None) -> str:
    """Color or embolden a line for a terminal, unless NO_COLOR is set; in a pipe it stays plain.

    style: numbers of ECMA-48's SGR, as in "1" for bold; "" for none.
    stream: where it is printed; by default standard output.
    """
    dumb = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if not style or not text or dumb or (os.name == "nt" and "WT_SESSION" not in os.environ):
        return text
    return f"\x1b[{style}m{text}\x1b[0m" if (stream or sys.stdout).isatty() else text

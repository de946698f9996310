"""Text for a terminal, without control characters that a file or an error may contain."""

import json
import sys
from contextlib import suppress
from typing import Any


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
    """Print an error on standard error, in one line."""
    note(f"kit: {one_line(message)}")


def note(text: object) -> None:
    """Print a line on standard error, if it can be written to."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(printable(text), file=sys.stderr, flush=True)

"""Text from files that others made, on its way to a terminal: nothing in it may steer the terminal."""

import json
import sys
from typing import Any


def one_line(error: object) -> str:
    """Write any text or exception on one line; where it is empty, the name of its type."""
    return " ".join(str(error).split()) or type(error).__name__


def printable(text: object) -> str:
    r"""Write every character that a terminal might obey, or that shows nothing, as an escape such as \x1b."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))


def as_json(document: Any) -> str:
    """Write a document for `--json`, in ASCII; numbers that JSON does not have become null."""
    clean = json.loads(json.dumps(document), parse_constant=lambda _: None)
    return json.dumps(clean, indent=2).replace("\x7f", "\\u007f")


def say(text: str) -> None:
    """Print on standard output; what its encoding does not have is escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def complain(message: object) -> None:
    """Say on standard error, in one line, what could not be done."""
    print(f"kit: {printable(one_line(message))}", file=sys.stderr)


def note(text: object) -> None:
    """Print a line on standard error."""
    print(printable(text), file=sys.stderr)

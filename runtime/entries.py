"""Reads values of JSON: each function returns what it is given as a type of Python, or raises what `read` reports."""

from __future__ import annotations

import binascii
import math
from collections.abc import Callable
from typing import Any, TypeVar

from .errors import ArtefactError, InputError
from .origin import raised_by

PREFIX = "kit."
NUMPY = "numpy"
SHOWN = 60  # characters of what was found, in a message

T = TypeVar("T")


def read(name: str, value: Any, reader: Callable[[Any], T], expected: str) -> T:
    """Read the entry `name`. Raises ArtefactError, with what was expected, where the reader does not take the value."""
    try:
        return reader(value)
    except (AttributeError, InputError, KeyError, OverflowError, TypeError, ValueError, binascii.Error) as error:
        if not (isinstance(error, InputError) or raised_by(error, NUMPY)):
            raise
        expect(False, PREFIX + name, expected, value)
        raise


def expect(condition: bool, name: str, expected: str, found: object) -> None:
    """Raise ArtefactError for the entry `name` unless the condition holds."""
    if not condition:
        text = repr(found)
        shown = text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
        raise ArtefactError(f"{name}: expected {expected}, found {shown}: export the artefact again")


def check(condition: object) -> None:
    """Raise ValueError unless the condition holds."""
    if not condition:
        raise ValueError("out of range")


def items(value: Any) -> list[Any]:
    """Read an array."""
    if not isinstance(value, (list, tuple)):
        raise TypeError
    return list(value)


def number(value: Any) -> float:
    """Read a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError
    try:
        found = float(value)
    except OverflowError:  # an integer of hundreds of digits
        raise ValueError("out of range") from None
    check(math.isfinite(found))
    return found


def share(value: Any) -> float:
    """Read a number from 0 to 1."""
    found = number(value)
    check(0 <= found <= 1)
    return found


def rate(value: Any) -> float:
    """Read a number above 0 and below 1."""
    found = number(value)
    check(0 < found < 1)
    return found


def count(value: Any) -> int:
    """Read an integer of at least 1."""
    check(type(value) is int and value >= 1)
    return int(value)


def text(value: Any) -> str:
    """Read a string that is not empty."""
    check(isinstance(value, str) and value)
    return str(value)


def distinct(values: list[T]) -> tuple[T, ...]:
    """Read an array of values that differ from each other."""
    check(len(set(values)) == len(values))
    return tuple(values)


def data(value: Any) -> bytes:
    """Read bytes in base64: padded, in one line."""
    return binascii.a2b_base64(value, strict_mode=True)


def base64(content: bytes) -> str:
    """Write bytes in base64: padded, in one line."""
    return binascii.b2a_base64(content, newline=False).decode("ascii")

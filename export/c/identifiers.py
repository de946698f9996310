"""C identifiers, and data as C."""

import re
from collections.abc import Iterable
from textwrap import fill

from ..errors import ExportError

LINE = 116
LONGEST = 31  # characters of an identifier that C99 tells apart in other files, less than those behind the prefix
WORDS = """
    alignas alignof and asm auto bitand bitor bool break case catch char class compl concept const constexpr continue
    decltype default delete do double else enum explicit export extern false float for friend goto if inline int long
    mutable namespace new noexcept not nullptr operator or private protected public register reinterpret requires
    restrict return short signed sizeof static struct switch template this throw true try typedef typeid typename
    union unsigned using virtual void volatile while xor
    assert complex ctype errno fenv inttypes iso646 limits locale main math setjmp signal stdarg stdbool stddef stdint
    stdio stdlib string strings tgmath threads time uchar wchar wctype unistd
    arduino binary client eeprom ethernet far interrupt linux near print printable printf serial server servo spi stream
    udp unix wifi wire wprogram
"""
TAKEN = frozenset(WORDS.split())  # keywords of C and C++, and headers that NAME.h would hide: standard ones, Arduino's
VALID = re.compile(r"[a-z][a-z0-9_]*")


def identifier(name: str) -> str:
    """Make a C identifier of any name: in lower case, neither reserved nor the name of a usual header."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    found = "_".join(words)[:LONGEST].rstrip("_")
    if not found:
        return "model"
    if found[0].isdigit():
        return f"model_{found}"
    return f"{found}_model" if found in TAKEN else found


def check_identifier(name: str) -> str:
    """Return a name that was asked for. Raises ExportError where it can be no prefix in C."""
    if not VALID.fullmatch(name) or name in TAKEN or len(name) > LONGEST:
        raise ExportError(
            f"expected a name for C of at most {LONGEST} small letters, digits and underscores, a letter first, no "
            f"keyword and no usual header, found {name!r}: choose another, such as {identifier(name)}"
        )
    return name


def numbers(values: Iterable[object], indent: int = 4) -> str:
    """List numbers as C takes them, in lines."""
    margin = " " * indent
    return fill(", ".join(map(str, values)), LINE, initial_indent=margin, subsequent_indent=margin)


def decimal(value: float) -> str:
    """Write a float32 as C takes it, with the digits that tell it from all others."""
    text = f"{value:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"

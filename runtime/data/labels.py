"""Labels that people take for one: they differ only in case, spaces, invisible characters, or their Unicode form."""

import unicodedata
from collections.abc import Iterable, Mapping
from itertools import pairwise

from ..errors import DataError

INVISIBLE = ("Cc", "Cf")  # control and format characters
TAGS = range(0xE0000, 0xE0080)  # the flags of regions differ in nothing else
SELECTORS = range(0xFE00, 0xFE10)  # of an emoji's variation


def check_distinct(where: str, labels: Mapping[str, Iterable[str]], *, by_case: bool = True) -> None:
    """Refuse labels that are easily taken for one, and name their characters. Raises DataError.

    where: what the labels are of, for messages.
    labels: of each place that has some, such as a part of the data set.
    by_case: whether labels that differ in case alone are refused too. Single letters never are: a and A are two classes
        of handwriting.
    """
    places = {label: place for place, found in reversed(list(labels.items())) for label in found}
    keys = {label: _key(label, by_case) for label in places}
    in_order = sorted(places, key=lambda label: (keys[label], label))
    alike = [(one, other) for one, other in pairwise(in_order) if keys[one] == keys[other]]
    if not alike:
        return
    one, other = alike[0]
    shown = repr if one.lower() == other.lower() else _escaped
    first = f" in {places[one]}" * (places[one] != places[other])
    more = f", and {len(alike) - 1:,} more such pairs" * (len(alike) > 1)
    raise DataError(
        f"{where}: expected labels that differ in more than case, spaces or Unicode form, found {shown(one)}{first} "
        f"and {shown(other)} in {places[other]}{more}: write them alike to merge them, or rename one"
    )


def _key(label: str, by_case: bool) -> str:
    """Write a label in the form that it shares with those that are taken for it."""
    visible = "".join(character for character in label if character.isspace() or not _is_invisible(character))
    plain = " ".join(unicodedata.normalize("NFKC", visible).split())
    return plain.lower() if by_case and len(plain) > 1 else plain


def _is_invisible(character: str) -> bool:
    code = ord(character)
    return code in SELECTORS or (unicodedata.category(character) in INVISIBLE and code not in TAGS)


def _escaped(label: str) -> str:
    return ascii(label).replace("  ", r" \x20")  # messages have no two spaces in a row

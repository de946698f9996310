"""Fonts that have the characters of a plot: the user's, matplotlib's own, and where these lack some, installed ones."""

import unicodedata
from collections.abc import Callable, Iterable
from contextlib import suppress

import matplotlib
from matplotlib.font_manager import FontEntry, FontProperties, findfont, findSystemFonts, fontManager
from matplotlib.ft2font import FT2Font

OWN = "DejaVu Sans"  # comes with matplotlib
NO_GLYPHS = "lastresort"  # in the names of fonts that have a box for every character
NORMAL = 400
NAMED = 12  # characters in a note


def families_for(text: str, say: Callable[[str], None]) -> list[str]:
    """Choose font families for `font.family`, in the order of preference; those that the user has set come first.

    text: all characters to draw.
    say: prints a note where no installed font has some of them.
    """
    families = list(dict.fromkeys([*_set_by_user(), OWN]))
    missing = {character for character in text if not _is_invisible(character)}
    for family in families:
        missing -= _drawn_with(findfont(_properties(family)), missing)
    if missing:
        _find_new_fonts()
        chosen, missing = _cover(missing)
        families += chosen
    if missing:
        say(_note("".join(sorted(missing))))
    return families


def _set_by_user() -> Iterable[str]:
    for family in matplotlib.rcParams["font.family"]:
        with suppress(ValueError):  # not installed
            yield FT2Font(findfont(_properties(family), fallback_to_default=False)).family_name


def _properties(family: str) -> FontProperties:
    return FontProperties(family=[family])  # in a list, as it would be a pattern otherwise


def _cover(missing: set[str]) -> tuple[list[str], set[str]]:
    """Choose installed families, each for as many characters as it can; return also the characters that none has."""
    faces: dict[str, FontEntry] = {}
    for entry in sorted(fontManager.ttflist, key=_strangeness):
        if NO_GLYPHS not in entry.name.lower().replace(" ", ""):
            faces.setdefault(entry.name, entry)
    drawn = {family: _drawn_with(entry.fname, missing) for family, entry in faces.items()}
    chosen = []
    while best := max(drawn, key=lambda family: len(drawn[family] & missing), default=""):
        if not drawn[best] & missing:
            break
        chosen.append(best)
        missing = missing - drawn[best]
    return chosen, missing


def _strangeness(entry: FontEntry) -> tuple[object, ...]:
    """Order upright faces of normal weight first, and sans-serif families before others."""
    weight = entry.weight if isinstance(entry.weight, int) else NORMAL
    return entry.style != "normal", abs(weight - NORMAL), "Sans" not in entry.name, entry.name, entry.fname


def _find_new_fonts() -> None:
    """Add fonts that were installed after matplotlib wrote its list of them."""
    for path in sorted(set(findSystemFonts()) - {entry.fname for entry in fontManager.ttflist}):
        with suppress(Exception):  # damaged fonts, and those that matplotlib cannot draw, raise many types
            fontManager.addfont(path)


def _drawn_with(path: str, characters: Iterable[str]) -> set[str]:
    """Those of the characters that a font has an outline for."""
    drawn = set()
    with suppress(OSError, RuntimeError):  # damaged
        font = FT2Font(path)
        font.set_size(9, 72)
        for character in characters:
            if font.get_char_index(ord(character)) and any(font.load_char(ord(character)).bbox):
                drawn.add(character)
    return drawn


def _is_invisible(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f"


def _note(missing: str) -> str:
    if any(unicodedata.east_asian_width(character) in "WF" and not _is_symbol(character) for character in missing):
        package = "fonts-noto-cjk"
    else:
        package = "fonts-symbola" if all(map(_is_symbol, missing)) else "fonts-noto-core"
    named = missing[:NAMED] + "…" * (len(missing) > NAMED)
    return (
        f"plots: boxes stand for {named}, as no installed font has {'these' if len(missing) > 1 else 'it'}: "
        f"install one, such as the package {package} of Debian and Ubuntu"
    )


def _is_symbol(character: str) -> bool:
    return unicodedata.category(character).startswith("S")

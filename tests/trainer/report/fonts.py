"""Fonts for the tests: matplotlib's own, and made ones."""

from pathlib import Path

import matplotlib
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.font_manager import FontEntry, fontManager


def own_fonts() -> list[FontEntry]:
    """The entries of the fonts that matplotlib brings."""
    return [entry for entry in fontManager.ttflist if entry.fname.startswith(matplotlib.get_data_path())]


def write_font(path: Path, family: str, characters: str, *, blank: bool = False) -> Path:
    """Write a font that has a filled square, or nothing, for each of the characters."""
    pen = TTGlyphPen(None)
    if not blank:
        pen.moveTo((100, 0))
        for corner in ((100, 700), (800, 700), (800, 0)):
            pen.lineTo(corner)
        pen.closePath()
    glyph = pen.glyph()
    names = [".notdef", *(f"u{ord(character):04X}" for character in characters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(dict(zip(map(ord, characters), names[1:], strict=True)))
    builder.setupGlyf(dict.fromkeys(names, glyph))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (900, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path

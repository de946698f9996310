"""The formats that are one file for a runtime; those in C and for browsers have tests of their own."""

from export.formats import COMPILER, FORMATS, NODE

FILES = {name: kind for name, kind in FORMATS.items() if kind.runs_on not in (COMPILER, NODE)}

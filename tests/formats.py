"""The formats that are one file for a runtime; those in C have tests of their own."""

from export.formats import COMPILER, FORMATS

FILES = {name: kind for name, kind in FORMATS.items() if kind.runs_on != COMPILER}

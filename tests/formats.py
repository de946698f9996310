"""The formats that are one file for a runtime that is installed; those in C have tests of their own."""

from importlib.util import find_spec

from export.formats import COMPILER, FORMATS, LITERT

ABSENT = {COMPILER} | (set() if find_spec("ai_edge_litert") else {LITERT})
FILES = {name: kind for name, kind in FORMATS.items() if kind.runs_on not in ABSENT}

"""The formats that are one file for a runtime; those in C have tests of their own."""

from export.formats import COMPILER, FORMATS
from tests.backends import NUMPY

FILES = {name: kind for name, kind in FORMATS.items() if kind.runs_on != COMPILER and not (NUMPY and name == "ort")}
OPENED = [name for name, kind in FILES.items() if kind.runs_on == "onnxruntime"]

"""The formats that are one file for a runtime that is installed; those in C have tests of their own."""

from importlib.util import find_spec

from export.formats import COMPILER, FORMATS, LITERT
from tests.backends import NUMPY

ABSENT = {COMPILER} if find_spec("ai_edge_litert") else {COMPILER, LITERT}
FILES = {name: kind for name, kind in FORMATS.items() if kind.runs_on not in ABSENT and not (NUMPY and name == "ort")}
OPENED = [name for name, kind in FILES.items() if kind.runs_on in ("onnxruntime", LITERT)]

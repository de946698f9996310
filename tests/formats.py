"""The formats that are one file for a runtime; those in C and for browsers have tests of their own."""

import pytest

from export.formats import COMPILER, FORMATS, NODE
from tests.backends import NUMPY
from tests.node import needs_node

ALL = [pytest.param(name, marks=needs_node if kind.runs_on == NODE else ()) for name, kind in FORMATS.items()]
FILES = {
    name: kind
    for name, kind in FORMATS.items()
    if kind.runs_on not in (COMPILER, NODE) and not (NUMPY and name == "ort")
}
OPENED = [name for name, kind in FILES.items() if kind.runs_on == "onnxruntime"]

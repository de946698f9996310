"""The formats that are one file for a runtime that is installed; those in C and for browsers have their own tests."""

from importlib.util import find_spec

import pytest

from export.formats import COMPILER, FORMATS, LITERT, NODE
from tests.backends import NUMPY
from tests.node import needs_node

needs_litert = pytest.mark.skipif(not find_spec("ai_edge_litert"), reason="ai-edge-litert is not installed")
NEEDS = {NODE: needs_node, LITERT: needs_litert}
ALL = [pytest.param(name, marks=NEEDS.get(kind.runs_on, ())) for name, kind in FORMATS.items()]
ABSENT = {COMPILER, NODE} if find_spec("ai_edge_litert") else {COMPILER, NODE, LITERT}
FILES = {name: kind for name, kind in FORMATS.items() if kind.runs_on not in ABSENT and not (NUMPY and name == "ort")}
OPENED = [name for name, kind in FILES.items() if kind.runs_on in ("onnxruntime", LITERT)]
OF_FEATURES = {name: kind for name, kind in FILES.items() if kind.runs_on != LITERT}  # that take a features graph

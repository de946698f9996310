"""The flatbuffer: aligned, and with the operators that the runtime lets through."""

from pathlib import Path

import pytest

import runtime.litert

schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="ai-edge-litert is not installed")


def test_the_runtime_knows_the_operators() -> None:
    from export.litert.graph import OPERATORS

    assert tuple(OPERATORS) == runtime.litert.OPERATORS


@pytest.mark.parametrize("name", ["litert", "litert-int8"])
def test_buffers_are_aligned(name: str, exported: dict[str, Path]) -> None:
    """To 16 bytes, as the schema has it, for processors that load no other."""
    data = exported[name].read_bytes()
    root = schema.Model.GetRootAs(data)
    for number in range(1, root.BuffersLength()):
        buffer = root.Buffers(number)._tab
        assert buffer.Vector(buffer.Offset(4)) % 16 == 0
    assert root.BuffersLength() > 5
    assert root.Buffers(0).DataLength() == 0

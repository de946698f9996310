"""The table of kernel types of an .ort file, in a fixed order."""

import struct
from pathlib import Path

import pytest
from flatbuffers.table import Table

from export.formats.ort_order import in_order
from runtime.session import onnxruntime

OPERATORS = (b":Cast:13", b":Flatten:13", b":Gemm:13", b":Softmax:13")


@pytest.fixture
def data(model: Path, tmp_path: Path) -> bytes:
    """A file as onnxruntime writes it, its operators in an order of chance."""
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    ort.InferenceSession(model.read_bytes(), options, providers=["CPUExecutionProvider"])
    return (tmp_path / "model.ort").read_bytes()


def field(table: Table, number: int) -> int:
    return int(table.Pos + table.Offset(4 + 2 * number))


def operators(data: bytes) -> tuple[int, list[int]]:
    """Where the vector of operators starts, and where each of them lies, by the numbers in onnxruntime's ort.fbs."""
    session = Table(bytearray(data), struct.unpack_from("<I", data)[0])
    resolver = Table(session.Bytes, session.Indirect(field(session, 3)))
    offset = resolver.Offset(4)
    start, count = resolver.Vector(offset), resolver.VectorLen(offset)
    return start, [int(resolver.Indirect(start + 4 * i)) for i in range(count)]


def names(data: bytes) -> list[bytes]:
    tables = [Table(bytearray(data), place) for place in operators(data)[1]]
    return [bytes(table.String(field(table, 0))) for table in tables]


def reversed_operators(data: bytes) -> bytes:
    start, places = operators(data)
    changed = bytearray(data)
    for i, place in enumerate(reversed(places)):
        struct.pack_into("<I", changed, start + 4 * i, place - (start + 4 * i))
    return bytes(changed)


def test_operators_go_by_name(data: bytes) -> None:
    found = names(in_order(data))
    assert found == sorted(names(data))
    assert set(OPERATORS) <= set(found)


def test_another_order_gives_the_same_bytes(data: bytes) -> None:
    other = reversed_operators(data)
    assert names(other) == names(data)[::-1] != names(data)
    assert in_order(other) == in_order(data)


def test_a_file_in_order_stays_as_it_is(data: bytes) -> None:
    ordered = in_order(data)
    assert in_order(ordered) == ordered
    assert len(ordered) % 16 == 0


def test_onnxruntime_loads_it(data: bytes) -> None:
    ort = onnxruntime()
    session = ort.InferenceSession(in_order(data), providers=["CPUExecutionProvider"])
    assert [item.name for item in session.get_outputs()] == ["probabilities"]

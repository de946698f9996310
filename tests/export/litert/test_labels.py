"""The labels as LiteRT's own tools find them, read by the numbers that the schema of its metadata has."""

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import pytest
from flatbuffers.number_types import Int8Flags, Uint32Flags
from flatbuffers.table import Table

from export import export
from trainer import Checkpoint, Dataset, fit

schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="ai-edge-litert is not installed")


def at(table: Table, field: int) -> int:
    return int(table.Pos + table.Offset(4 + 2 * field))


def inner(table: Table, field: int, *, first: bool = False) -> Table:
    """A table in a field, or the first one of a list."""
    place = at(table, field)
    return Table(table.Bytes, table.Indirect(place if not first else table.Indirect(place) + 4))


def model_metadata(path: Path) -> Table:
    root = schema.ModelT.InitFromPackedBuf(path.read_bytes())
    (buffer,) = [entry.buffer for entry in root.metadata if entry.name == b"TFLITE_METADATA"]
    data: Any = bytes(root.buffers[buffer].data)
    assert data[4:8] == b"M001"
    return Table(data, flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0))


def test_the_labels_are_those_of_the_output(exported: dict[str, Path]) -> None:
    graph = inner(model_metadata(exported["litert"]), 3, first=True)
    result = inner(graph, 3, first=True)
    labels = inner(result, 6, first=True)
    assert (result.String(at(result, 0)), labels.String(at(labels, 0))) == (b"probabilities", b"labels.txt")
    assert labels.Get(Int8Flags, at(labels, 2)) == 2  # TENSOR_AXIS_LABELS
    with zipfile.ZipFile(exported["litert"]) as file:
        assert file.read("labels.txt").decode().splitlines() == [str(digit) for digit in range(10)]


@pytest.mark.parametrize(("kind", "space"), [("grey", 2), ("colour", 1)])
def test_the_input_is_an_image(kind: str, space: int, exported: dict[str, Path], tiny: Dataset, tmp_path: Path) -> None:
    path = exported["litert"] if kind == "grey" else export(fit(tiny).checkpoint, "litert", tmp_path / "m.tflite").path
    content = inner(inner(inner(model_metadata(path), 3, first=True), 2, first=True), 3)
    image = inner(content, 1)
    size = inner(image, 1)
    assert content.Get(Int8Flags, at(content, 0)) == 2  # ImageProperties
    assert image.Get(Int8Flags, at(image, 0)) == space
    assert [size.Get(Uint32Flags, at(size, side)) for side in (0, 1)] == ([8, 8] if kind == "grey" else [5, 6])


def test_a_label_is_a_line(checkpoint: Checkpoint, tmp_path: Path) -> None:
    labels = ("a\r\nb", "köln ☀", *checkpoint.labels[2:])
    path = export(replace(checkpoint, labels=labels), "litert", tmp_path / "model.tflite").path
    with zipfile.ZipFile(path) as file:
        assert file.read("labels.txt").decode().split("\n")[:3] == ["a b", "köln ☀", "2"]

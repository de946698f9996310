"""The one table of a file in onnxruntime's format that onnxruntime lays out by chance, in a fixed order.

The layout is that of onnxruntime/core/flatbuffers/schema/ort.fbs: an InferenceSession of the version, the model, and
the table of kernel types, which holds for each operator the type parameters of its kernel and where each is read from.
"""

import struct

from flatbuffers import Builder
from flatbuffers.number_types import Int8Flags, Uint32Flags
from flatbuffers.table import Table

IDENTIFIER = b"ORTM"
LARGEST_ALIGNMENT = 16
VERSION, MODEL, KERNEL_TYPES = 0, 1, 3  # fields of the session
KEY, ENTRIES = 0, 1  # fields of an operator, and of a type parameter
KIND, INDEX = 0, 1  # fields of a place that a type is read from


def in_order(data: bytes) -> bytes:
    """Write a file anew with its table of kernel types sorted; everything else stays as it is, byte for byte."""
    root = Table(bytearray(data), struct.unpack_from("<I", data)[0])
    version, model = _text(root, VERSION), _table(root, MODEL)
    operators = sorted((_text(item, KEY), _parameters(item)) for item in _tables(_table(root, KERNEL_TYPES), 0))
    vtable = model.Pos - struct.unpack_from("<i", data, model.Pos)[0]
    builder = Builder(0)  # fills memory from its end, where the model already lies
    builder.Bytes, builder.head, builder.minalign = bytearray(data[min(model.Pos, vtable) :]), 0, LARGEST_ALIGNMENT
    kernel_types = _object(
        builder, {0: _vector(builder, [_keyed(builder, name, _places(builder, found)) for name, found in operators])}
    )
    fields = {
        VERSION: builder.CreateString(version),
        MODEL: len(data) - model.Pos,
        KERNEL_TYPES: kernel_types,
    }
    builder.Finish(_object(builder, fields), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _parameters(operator: Table) -> list[tuple[bytes, list[tuple[int, int]]]]:
    """Read an operator's type parameters: name, and the kind and index of each place that the type is read from."""
    return [
        (
            _text(item, KEY),
            [(place.GetSlot(_at(KIND), 0, Int8Flags), place.GetSlot(_at(INDEX), 0, Uint32Flags))
             for place in _tables(item, ENTRIES)],
        )
        for item in _tables(operator, ENTRIES)
    ]  # fmt: skip


def _places(builder: Builder, parameters: list[tuple[bytes, list[tuple[int, int]]]]) -> int:
    """Write what `_parameters` read; return where it is."""
    return _vector(
        builder, [_keyed(builder, name, _vector(builder, [_place(builder, *place) for place in places]))
                  for name, places in sorted(parameters)]
    )  # fmt: skip


def _place(builder: Builder, kind: int, index: int) -> int:
    builder.StartObject(2)
    builder.PrependInt8Slot(KIND, kind, 0)
    builder.PrependUint32Slot(INDEX, index, 0)
    return int(builder.EndObject())


def _keyed(builder: Builder, key: bytes, entries: int) -> int:
    return _object(builder, {KEY: builder.CreateString(key), ENTRIES: entries})


def _object(builder: Builder, offsets: dict[int, int]) -> int:
    builder.StartObject(max(offsets) + 1)
    for field, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    return int(builder.EndObject())


def _vector(builder: Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _at(field: int) -> int:
    """Where a field's offset stands in a vtable."""
    return 4 + 2 * field


def _text(table: Table, field: int) -> bytes:
    return bytes(table.String(table.Pos + table.Offset(_at(field))))


def _table(table: Table, field: int) -> Table:
    return Table(table.Bytes, table.Indirect(table.Pos + table.Offset(_at(field))))


def _tables(table: Table, field: int) -> list[Table]:
    offset = table.Offset(_at(field))
    start = table.Vector(offset) if offset else 0
    count = table.VectorLen(offset) if offset else 0
    return [Table(table.Bytes, table.Indirect(start + 4 * i)) for i in range(count)]

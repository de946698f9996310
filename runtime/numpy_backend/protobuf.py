"""Reads an ONNX file: the parts of its protobuf that a graph of tensors and operators needs.

https://protobuf.dev/programming-guides/encoding/ has the encoding, onnx.proto of ONNX the numbers of the fields.
"""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..errors import ArtefactError
from ..origin import raised_by
from ..text import one_line

VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
LONGEST_VARINT = 10  # bytes
OPSETS, NEWEST_IR = range(13, 29), 13  # whose operators and files are known
TYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 11: "float64"}
RAW, EXTERNAL = 9, (13, 14)
INTEGERS, FLOATS, DOUBLES = (5, 7), 4, 10  # other fields of a tensor with its values
NOTHING = memoryview(b"")
Array = np.ndarray[Any, np.dtype[Any]]


class Node(NamedTuple):
    """An operator, the names of its inputs, empty for none, and of its outputs, and its attributes by name."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


class Value(NamedTuple):
    """An input or output of a graph. shape: names stand for sides that are free. type: as in tensor(float)."""

    name: str
    type: str
    shape: tuple[int | str, ...]


class Model(NamedTuple):
    """An ONNX file.

    tensors: constants by name.
    props: metadata.
    opset: of ONNX's own operators.
    """

    nodes: list[Node]
    tensors: dict[str, Array]
    inputs: list[Value]
    outputs: list[Value]
    props: dict[str, str]
    producer: str
    opset: int


def read_model(data: bytes) -> Model:
    """Read an ONNX file. Raises ArtefactError where it is damaged."""
    try:
        return _model(memoryview(data))
    except UnicodeDecodeError:
        raise ArtefactError("expected names and metadata in UTF-8, found other bytes: export it again") from None
    except (ValueError, TypeError, OverflowError, KeyError, struct.error) as error:
        if not raised_by(error, "numpy"):
            raise
        raise refusal(error) from error


def refusal(reason: object, remedy: str = "export it again") -> ArtefactError:
    """Make the error of a file that cannot be run."""
    return ArtefactError(
        f"expected an ONNX file that numpy can run, found one that it refuses ({one_line(reason)}): {remedy}"
    )


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield the number and the value of each field: an integer, or a view of bytes. Raises ValueError."""
    place, end = 0, len(data)
    while place < end:
        key, place = _varint(data, place)
        kind = key & 7
        if kind == VARINT:
            value, place = _varint(data, place)
            yield key >> 3, value
            continue
        if kind == LENGTH:
            size, place = _varint(data, place)
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            size = 8 if kind == EIGHT_BYTES else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if size > end - place:
            raise ValueError("a field that ends behind the file")
        yield key >> 3, data[place : place + size]
        place += size


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """Read an integer of 7 bits a byte; return it, and the place behind it."""
    value = 0
    for count, byte in enumerate(data[place : place + LONGEST_VARINT]):
        value |= (byte & 127) << 7 * count
        if byte < 128:
            return value & 2**64 - 1, place + count + 1
    raise ValueError("an integer without an end")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _integers(value: Any) -> list[int]:
    """Read a repeated integer, alone or packed."""
    if isinstance(value, int):
        return [_signed(value)]
    found, place = [], 0
    while place < len(value):
        number, place = _varint(value, place)
        found.append(_signed(number))
    return found


def _content(value: Any) -> bytes:
    """Return a field's bytes, which an integer in its place does not have."""
    if isinstance(value, int):
        raise ValueError("an integer in place of text")
    return bytes(value)


def _text(value: Any) -> str:
    return _content(value).decode()


def _grouped(data: memoryview) -> dict[int, list[Any]]:
    """Return the values of each field by its number, in order."""
    found: dict[int, list[Any]] = {}
    for number, value in _fields(data):
        found.setdefault(number, []).append(value)
    return found


def _model(data: memoryview) -> Model:
    file = _grouped(data)
    version, graph = file.get(1, [0])[-1], file[7][-1]
    opset = max((found.get(2, 0) for found in map(dict, map(_fields, file.get(8, []))) if not found.get(1)), default=0)
    if opset not in OPSETS or not 1 <= version <= NEWEST_IR:
        raise ValueError(f"opset {opset} and IR version {version}")
    props = [dict(_fields(value)) for value in file.get(14, [])]
    parts = _grouped(graph)
    if 15 in parts:
        raise ValueError("sparse tensors")
    return Model(
        nodes=list(map(_node, parts.get(1, []))),
        tensors=dict(map(_tensor, parts.get(5, []))),
        inputs=list(map(_value, parts.get(11, []))),
        outputs=list(map(_value, parts.get(12, []))),
        props={_text(found[1]): _text(found.get(2, b"")) for found in props},
        producer=_text(file.get(2, [b""])[-1]),
        opset=opset,
    )


def _node(data: memoryview) -> Node:
    found = _grouped(data)
    operator, domain = (_text(found.get(number, [b""])[-1]) for number in (4, 7))
    inputs, outputs = (tuple(map(_text, found.get(number, []))) for number in (1, 2))
    attributes = dict(map(_attribute, found.get(5, [])))
    return Node(f"{domain}.{operator}" if domain else operator, inputs, outputs, attributes)


def _attribute(data: memoryview) -> tuple[str, Any]:
    """Read an attribute: a float, an integer, bytes, a tensor or integers."""
    name, found, integers = "", None, []
    for number, value in _fields(data):
        if number == 1:
            name = _text(value)
        elif number == 2:
            (found,) = struct.unpack("<f", value)
        elif number == 3:
            found = _signed(value)
        elif number == 4:
            found = _content(value)
        elif number == 5:
            found = _tensor(value)[1]
        elif number == 8:
            integers += _integers(value)
    return name, integers if found is None else found


def _tensor(data: memoryview) -> tuple[str, Array]:
    found = _grouped(data)
    kind, shape = found.get(2, [0])[-1], [side for value in found.get(1, []) for side in _integers(value)]
    if any(number in found for number in EXTERNAL):
        raise ArtefactError("expected all weights in the file, found some in other files: export it again")
    if kind not in TYPES or min(shape, default=0) < 0:
        raise ValueError(f"a tensor of type {kind} and shape {shape}")
    if RAW in found:
        array = np.frombuffer(found[RAW][-1], np.dtype(TYPES[kind]).newbyteorder("<"))
    elif FLOATS in found:
        array = np.frombuffer(found[FLOATS][-1], "<f4")
    elif DOUBLES in found:
        array = np.frombuffer(found[DOUBLES][-1], "<f8")
    else:
        array = np.array([one for number in INTEGERS for value in found.get(number, []) for one in _integers(value)])
    array = array.astype(TYPES[kind], copy=False).reshape(shape)
    array.flags.writeable = False
    return _text(found.get(8, [b""])[-1]), array


def _value(data: memoryview) -> Value:
    found = dict(_fields(data))
    tensor = dict(_fields(dict(_fields(found.get(2, NOTHING))).get(1, NOTHING)))
    shape = [_side(value) for number, value in _fields(tensor.get(2, NOTHING)) if number == 1]
    kind = TYPES.get(tensor.get(1, 0), "unknown")
    return Value(_text(found[1]), f"tensor({'float' if kind == 'float32' else kind})", tuple(shape))


def _side(data: memoryview) -> int | str:
    found = dict(_fields(data))
    return _signed(found[1]) if 1 in found else _text(found.get(2, b""))

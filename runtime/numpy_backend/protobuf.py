"""Reads an ONNX file: the parts of its protobuf that a graph of tensors and operators needs.

https://protobuf.dev/programming-guides/encoding/ has the encoding, onnx.proto of ONNX the numbers of the fields.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..errors import ArtefactError
from ..origin import raised_by
from ..text import one_line

VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
LONGEST_VARINT = 10  # bytes
TYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 11: "float64"}
RAW, EXTERNAL = 9, (13, 14)
INTEGERS = (5, 7)  # fields of a tensor with its values, other than as bytes
TYPED = {4: "<f4", 10: "<f8"} | dict.fromkeys(INTEGERS, "<i8")
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
    except (ValueError, TypeError, OverflowError, KeyError, struct.error, MemoryError) as error:
        if not raised_by(error, "numpy"):
            raise
        raise ArtefactError(
            f"expected an ONNX file, found a damaged one ({one_line(error)}): export it again"
        ) from None


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


def _text(value: Any) -> str:
    return bytes(value).decode()


def _model(data: memoryview) -> Model:
    graph, props, producer, opset = memoryview(b""), {}, "", 0
    for number, value in _fields(data):
        if number == 7:
            graph = value
        elif number == 2:
            producer = _text(value)
        elif number == 8:
            found = dict(_fields(value))
            if not found.get(1):
                opset = found.get(2, 0)
        elif number == 14:
            found = dict(_fields(value))
            props[_text(found[1])] = _text(found.get(2, b""))
    parts: dict[int, list[Any]] = {1: [], 5: [], 11: [], 12: []}
    readers: dict[int, Callable[[memoryview], Any]] = {1: _node, 5: _tensor, 11: _value, 12: _value}
    for number, value in _fields(graph):
        if number in parts:
            parts[number].append(readers[number](value))
        elif number == 15:
            raise ValueError("sparse tensors")
    return Model(parts[1], dict(parts[5]), parts[11], parts[12], props, producer, opset)


def _node(data: memoryview) -> Node:
    inputs, outputs, operator, domain, attributes = [], [], "", "", {}
    for number, value in _fields(data):
        if number == 1:
            inputs.append(_text(value))
        elif number == 2:
            outputs.append(_text(value))
        elif number == 4:
            operator = _text(value)
        elif number == 5:
            name, found = _attribute(value)
            attributes[name] = found
        elif number == 7:
            domain = _text(value)
    return Node(f"{domain}.{operator}" if domain else operator, tuple(inputs), tuple(outputs), attributes)


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
            found = bytes(value)
        elif number == 5:
            found = _tensor(value)[1]
        elif number == 8:
            integers += _integers(value)
    return name, integers if found is None else found


def _tensor(data: memoryview) -> tuple[str, Array]:
    name, kind, shape, values = "", 0, [], None
    for number, value in _fields(data):
        if number == 1:
            shape += _integers(value)
        elif number == 2:
            kind = value
        elif number == 8:
            name = _text(value)
        elif number == RAW:
            values = np.frombuffer(value, np.dtype(TYPES[kind]).newbyteorder("<"))
        elif number in TYPED:
            values = np.array(_integers(value)) if number in INTEGERS else np.frombuffer(value, TYPED[number])
        elif number in EXTERNAL:
            raise ValueError("data in other files")
    if kind not in TYPES or min(shape, default=0) < 0:
        raise ValueError(f"a tensor of type {kind} and shape {shape}")
    found = (np.empty(0) if values is None else values).astype(TYPES[kind], copy=False).reshape(shape)
    found.flags.writeable = False
    return name, found


def _value(data: memoryview) -> Value:
    found = dict(_fields(data))
    tensor = dict(_fields(dict(_fields(found[2])).get(1, memoryview(b""))))
    shape = [_side(value) for number, value in _fields(tensor.get(2, memoryview(b""))) if number == 1]
    kind = TYPES.get(tensor.get(1, 0), "unknown")
    return Value(_text(found[1]), f"tensor({'float' if kind == 'float32' else kind})", tuple(shape))


def _side(data: memoryview) -> int | str:
    found = dict(_fields(data))
    return _signed(found[1]) if 1 in found else _text(found.get(2, b""))

"""Damage to good files, each made from a number, so that a case is known by its number."""

import contextlib
import copy
import json
import math
import struct
import zlib
from typing import Any

import numpy as np
import onnx

from runtime.seal import EMPTY_SEAL, ORT_IDENTIFIER, SEAL_START, seal

ANCHORS = b"Gemm", b"MatMulInteger", b"Softmax", b"Flatten", b"weights", b"bias", b"images", b"probabilities", b"ORTM"
NUMBERS = 0, 1, 2, 3, 7, 8, 10, 13, 14, 16, 64, 127, -1, -2, 10**6, 2**20, 2**31 - 1
WORDS = (
    "", "x", "images", "pixels", "features", "weights", "bias", "logits", "probabilities", "N", "ai.onnx.ml", "Gemm",
    "MatMul", "Softmax", "Flatten", "Cast", "Reshape", "Transpose", "Concat", "Add", "Div", "Identity", "ReduceSum",
    "MatMulInteger", "Gather", "Expand", "Tile", "Pad", "ConstantOfShape", "Shape", "Slice", "Conv", "Resize", "Where",
    "OneHot", "TopK", "NonZero", "Range", "Squeeze", "Unsqueeze", "DequantizeLinear", "LayerNormalization",
)  # fmt: skip
VALUES = 0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF
JSON_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 8, 64, 2**31, 2**63, 10**400, 0.5, -0.0, 1e-320, 1e308, math.inf, math.nan, "", "x",
    "a\x1b[31mb", "\ud800", "\u202eb", "\0", "8", "kit", "L", "RGB", "F32", "U8", [], [0], [[]], ["a", "b"], ["a"] * 10,
    [1.0] * 64, {}, {"x": 1}, {"height": 1}, {"": {"": {}}},
)  # fmt: skip
PNG_START = b"\x89PNG\r\n\x1a\n"


def mutate(data: bytes, rng: np.random.Generator, near: list[int] | None = None) -> bytes:
    """Change one to four places: a bit, a byte, a run of bytes; cut, repeat or insert some. near: places to prefer."""
    out = bytearray(data)
    gentle = rng.random() < 0.5  # in place, so that no length is wrong
    for _ in range(int(rng.integers(1, 3 if gentle else 5))):
        at = int(rng.integers(len(out) or 1))
        if near and rng.random() < 0.6:
            at = min(max(0, near[int(rng.integers(len(near)))] + int(rng.integers(-48, 64))), max(0, len(out) - 1))
        span = int(rng.integers(1, 9))
        match int(rng.integers(4 if gentle else 8)):
            case 0 | 1 if out:
                out[at] ^= 1 << int(rng.integers(8))
            case 2 | 3 if out:
                out[at] = VALUES[int(rng.integers(len(VALUES)))]
            case 4:
                out[at : at + span] = rng.bytes(span)
            case 5:
                del out[at : at + span]
            case 6:
                out[at:at] = out[at : at + 8 * span]
            case _:
                out[at:at] = rng.bytes(span)
    return bytes(out[: int(rng.integers(len(out) + 1))] if not gentle and rng.random() < 0.05 else out)


def restructure(model: bytes, rng: np.random.Generator) -> bytes:
    """Change one to three fields, anywhere in an ONNX file but in its metadata; its protobuf stays sound."""
    proto = onnx.load_from_string(model)
    for _ in range(int(rng.integers(1, 4))):
        message = proto.graph if rng.random() < 0.95 else proto
        while True:
            fields = [(field, value) for field, value in message.ListFields() if field.name != "metadata_props"]
            if not fields:
                break
            field, value = fields[int(rng.integers(len(fields)))]
            repeated = not isinstance(value, (bool, bytes, float, int, str)) and hasattr(value, "__len__")
            if repeated and rng.random() < 0.25:
                at = int(rng.integers(len(value)))
                if rng.random() < 0.5:
                    del value[at]
                else:
                    value.extend([value[at]])
                break
            if field.message_type is None:
                other = _other(value[0] if repeated else value, rng)
                if repeated:
                    value[int(rng.integers(len(value)))] = other
                else:
                    setattr(message, field.name, other)
                break
            if rng.random() < 0.03:
                message.ClearField(field.name)
                break
            message = value[int(rng.integers(len(value)))] if repeated else value
    changed: bytes = proto.SerializeToString()
    return changed


def _other(value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, int):
        return NUMBERS[int(rng.integers(len(NUMBERS)))]
    if isinstance(value, float):
        return (0.0, -1.0, 1e38, math.inf, math.nan)[int(rng.integers(5))]
    if isinstance(value, bytes):
        return mutate(value, rng)
    return WORDS[int(rng.integers(len(WORDS)))]


def resealed(original: bytes, number: int) -> bytes:
    """Damage number `number` to an artefact, sealed as if it were right, so that onnxruntime comes to see it."""
    place = original.index(SEAL_START) + len(SEAL_START)
    data = original[:place] + b"0" * 64 + original[place + 64 :]
    rng = np.random.default_rng([number, len(original)])
    if number % 2 and data[4:8] != ORT_IDENTIFIER:
        with contextlib.suppress(ValueError):  # of an enum that has no such value, say
            data = restructure(data, rng)
        return seal(data) if data.count(SEAL_START) == 1 else data
    near = [data.index(anchor) for anchor in ANCHORS if anchor in data]
    damaged = mutate(data, rng, near)
    return seal(damaged) if damaged.count(EMPTY_SEAL) == 1 == damaged.count(SEAL_START) else damaged


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in a JSON document with each of its keys or positions; the first few of long lists."""
    keys = list(value) if isinstance(value, dict) else range(min(len(value), 4)) if isinstance(value, list) else ()
    return [place for key in keys for place in ((value, key), *places(value[key]))]


def edit(document: Any, rng: np.random.Generator) -> None:
    """Change one to three places of a JSON document: another value, none, or a copy of what stands elsewhere."""
    for _ in range(int(rng.integers(1, 4))):
        found = places(document)
        if not found:
            return
        container, key = found[int(rng.integers(len(found)))]
        action = rng.random()
        if action < 0.15:
            del container[key]
        elif action < 0.3:
            other, name = found[int(rng.integers(len(found)))]
            container[key] = copy.deepcopy(other[name])
        else:
            container[key] = copy.deepcopy(JSON_VALUES[int(rng.integers(len(JSON_VALUES)))])


def damaged_checkpoint(original: bytes, number: int) -> bytes:
    """Damage a safetensors file: its description, its header, its tensors, or any bytes, mostly those in front."""
    rng = np.random.default_rng([number, len(original)])
    size = int.from_bytes(original[:8], "little")
    header, tensors = json.loads(original[8 : 8 + size]), original[8 + size :]
    match number % 4:
        case 0:
            return mutate(original, rng, list(range(0, size, 8)))
        case 1:
            edit(header, rng)
        case 2:
            tensors = mutate(tensors, rng)[: len(tensors)].ljust(len(tensors), b"\xff")
        case _:
            description = json.loads(header["__metadata__"]["kit"])
            edit(description, rng)
            header["__metadata__"]["kit"] = json.dumps(description)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + tensors


def damaged_image(original: bytes, number: int) -> bytes:
    """Damage an image file; every other PNG gets the checksums that go with the damage."""
    data = mutate(original, np.random.default_rng([number, len(original)]))
    if number % 2 == 0 or not data.startswith(PNG_START):
        return data
    at, out = len(PNG_START), PNG_START
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunk = data[at + 4 : at + 8 + size]
        out += data[at : at + 4] + chunk + zlib.crc32(chunk).to_bytes(4, "big")
        at += 12 + size
    return out

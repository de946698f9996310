"""Detects tensors of an ONNX file whose data is in another file, which no artefact has.

onnxruntime would open that file, whatever its name, and older versions even outside of the folder. This reads only the
part of protobuf's encoding that leads to the tensors.
"""

from __future__ import annotations

# The messages of onnx.proto: the numbers of the fields that lead to tensors, and the message in each.
PARTS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "external"},
}
DEEPEST = 100  # nested messages, protobuf's own limit
VARINT, EIGHT_BYTES, MESSAGE, GROUP, GROUP_END, FOUR_BYTES = range(6)


def has_external_data(model: bytes) -> bool:
    """Whether any tensor of an ONNX file has external data; False where the file is not valid protobuf."""
    todo = [("model", 0, len(model), 0)]
    while todo:
        kind, at, stop, depth = todo.pop()
        try:
            while at < stop:
                tag, at = _varint(model, at)
                wire, part = tag & 7, PARTS[kind].get(tag >> 3)
                if wire == MESSAGE:
                    size, at = _varint(model, at)
                    if part == "external":
                        return True
                    if part and depth < DEEPEST and at + size <= stop:
                        todo.append((part, at, at + size, depth + 1))
                    at += size
                elif wire == VARINT:
                    _, at = _varint(model, at)
                elif wire in (EIGHT_BYTES, FOUR_BYTES):
                    at += 8 if wire == EIGHT_BYTES else 4
                elif wire not in (GROUP, GROUP_END):  # a group's content is read as if it stood here
                    break
        except IndexError:  # cut off
            continue
    return False


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80 or shift >= 70:
            return value, at

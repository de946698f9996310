"""Cuts a part out of an ONNX graph, under names of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

PREFIX = "net."


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the bodies of an If, Loop or Scan."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a graph, with those of bodies."""
    for node in graph.node:
        yield node
        for body in subgraphs(node):
            yield from all_nodes(body)


def is_utf8(message: Any) -> bool:
    """Whether all texts of an ONNX message are UTF-8; protobuf gives bytes for the others."""
    for field, value in message.ListFields():
        values = value if field.type in (field.TYPE_STRING, field.TYPE_MESSAGE) else []
        for part in [values] if isinstance(values, (str, bytes)) or hasattr(values, "ListFields") else values:
            if isinstance(part, bytes) or (field.type == field.TYPE_MESSAGE and not is_utf8(part)):
                return False
    return True


def keep_only(graph: onnx.GraphProto, output: str) -> None:
    """Remove the nodes and constants that `output` does not depend on. The nodes are in order, as ONNX demands."""
    needed, kept = {output}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
            for body in subgraphs(node):  # which see the names outside
                needed.update(name for inner in all_nodes(body) for name in inner.input)
                needed.update(value.name for value in body.output)
    kept.reverse()
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    sparse = [tensor for tensor in graph.sparse_initializer if tensor.values.name in needed]
    for field, values in (("node", kept), ("initializer", constants), ("sparse_initializer", sparse)):
        copies = [type(value).FromString(value.SerializeToString()) for value in values]
        graph.ClearField(field)
        getattr(graph, field).extend(copies)
    for field in ("value_info", "quantization_annotation"):
        graph.ClearField(field)


def prefix(graph: onnx.GraphProto) -> None:
    """Put `PREFIX` before every name of a graph and of its bodies, so that no name of other nodes is among them."""
    for node in graph.node:
        node.ClearField("name")
        node.input[:] = [name and PREFIX + name for name in node.input]
        node.output[:] = [name and PREFIX + name for name in node.output]
        for body in subgraphs(node):
            prefix(body)
    tensors = [*graph.initializer, *(tensor.values for tensor in graph.sparse_initializer)]
    for value in (*tensors, *graph.input, *graph.output, *graph.value_info):
        value.name = PREFIX + value.name

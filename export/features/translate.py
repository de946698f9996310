"""A features graph as a module of torch, which torch.jit.script and torch.export take, and which runs in float64."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper
from torch import fx

from runtime.artefact import FEATURES, INPUT

from .operators import OPERATORS, Call, UntranslatedError


def translated(model: ModelProto, *, double: bool = False) -> fx.GraphModule:
    """Write the graph with torch: uint8 [N, H, W, C] → float32 [N, D].

    double: whether it computes in float64 whatever the graph has in float32.
    Raises UntranslatedError, which says what of it torch is not known to compute.
    """
    return _Translation(model, torch.float64 if double else torch.float32).module()


class _Translation:
    """A graph of torch, as it grows; a constant becomes a buffer where a node uses it as a tensor."""

    def __init__(self, model: ModelProto, floats: torch.dtype) -> None:
        self._model, self._graph, self._root, self._floats = model, fx.Graph(), torch.nn.Module(), floats
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self._nodes: dict[str, fx.Node] = {INPUT: self._graph.placeholder(INPUT, type_expr=torch.Tensor)}

    def module(self) -> fx.GraphModule:
        for node in self._model.graph.node:
            self._add(node)
        self._graph.output(self._node(FEATURES))
        self._graph.eliminate_dead_code()
        return fx.GraphModule(self._root, self._graph, "Features").eval()

    def _add(self, node: NodeProto) -> None:
        attributes = {found.name: helper.get_attribute_value(found) for found in node.attribute}
        if node.op_type == "Constant":
            self._constants[node.output[0]] = _value(attributes)
            return
        constants = {i: self._constants[name] for i, name in enumerate(node.input) if name in self._constants}
        if node.op_type == "Identity" and constants:
            self._constants[node.output[0]] = constants[0]
            return
        if node.op_type not in OPERATORS or any(node.output[1:]):
            raise UntranslatedError(node.op_type)
        inputs = [self._node(name) if name else None for name in node.input]
        call = Call(graph=self._graph, inputs=inputs, constants=constants, attributes=attributes, floats=self._floats)
        try:
            self._nodes[node.output[0]] = OPERATORS[node.op_type](call)
        except UntranslatedError:
            raise UntranslatedError(f"{node.op_type} as it is used in {(node.name or node.output[0])!r}") from None

    def _node(self, name: str) -> fx.Node:
        if name not in self._nodes:
            buffer = f"constant_{len([*self._root.buffers()])}"
            tensor = torch.from_numpy(np.array(self._constants[name]))
            self._root.register_buffer(buffer, tensor.to(self._floats) if tensor.dtype == torch.float32 else tensor)
            self._nodes[name] = self._graph.get_attr(buffer)
        return self._nodes[name]


def _value(attributes: dict[str, Any]) -> NDArray[Any]:
    """Return the value of a Constant node."""
    if "value" in attributes:
        return numpy_helper.to_array(attributes["value"])
    ((name, value),) = attributes.items()
    if name not in ("value_float", "value_floats", "value_int", "value_ints"):
        raise UntranslatedError(f"Constant with {name}")
    return np.array(value, np.float32 if "float" in name else np.int64)

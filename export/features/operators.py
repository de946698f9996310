"""The operators of ONNX that features graphs of convolutional networks use, as calls of torch.

Each function of `OPERATORS` takes a `Call` and returns the node of its result. The formulas are those of ONNX's
operator specification, https://onnx.ai/onnx/operators, of the opsets 13 to 23.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - as everywhere
from numpy.typing import NDArray
from onnx import TensorProto
from torch import fx

DTYPES = {
    TensorProto.DOUBLE: torch.float64,
    TensorProto.INT64: torch.int64,
    TensorProto.INT32: torch.int32,
}


class UntranslatedError(Exception):
    """An operator, or a use of it, that `OPERATORS` does not have."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A node of an ONNX graph, to write with torch.

    graph: where to write.
    inputs: nodes of its inputs; None for one that is left out.
    constants: the values of inputs that are constant, by their position.
    attributes: by name.
    floats: the type to compute with where the graph has float32.
    """

    graph: fx.Graph
    inputs: Sequence[fx.Node | None]
    constants: dict[int, NDArray[Any]]
    attributes: dict[str, Any]
    floats: torch.dtype

    def write(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> fx.Node:
        """Call a function of torch."""
        return self.graph.call_function(function, arguments, named)

    def get(self, name: str, default: Any) -> Any:
        """Return an attribute."""
        return self.attributes.get(name, default)

    def given(self, position: int) -> bool:
        """Say whether an input is there."""
        return position < len(self.inputs) and self.inputs[position] is not None

    def constant(self, position: int) -> NDArray[Any]:
        """Return the value of a constant input."""
        self.expect(position in self.constants)
        return self.constants[position]

    def integers(self, name: str, position: int) -> list[int] | None:
        """Return an attribute of integers, which newer opsets have as a constant input; None where it is left out."""
        if self.given(position):
            return [int(number) for number in self.constant(position).ravel()]
        return self.attributes.get(name)

    def expect(self, known: bool) -> None:
        """Raise UntranslatedError for a use of an operator that is not among those known here."""
        if not known:
            raise UntranslatedError


def _elementwise(function: Callable[..., Any], call: Call) -> fx.Node:
    return call.write(function, *call.inputs)


def _same(call: Call) -> fx.Node:
    found = call.inputs[0]
    call.expect(found is not None)
    return found  # type: ignore[return-value]


def _cast(call: Call) -> fx.Node:
    dtypes = DTYPES | {TensorProto.FLOAT: call.floats}
    call.expect(call.attributes["to"] in dtypes)
    return call.graph.call_method("to", (call.inputs[0], dtypes[call.attributes["to"]]))


def _clip(call: Call) -> fx.Node:
    low, high = (float(call.constant(place)) if call.given(place) else None for place in (1, 2))
    return call.write(torch.clamp, call.inputs[0], low, high)


def _gate(alpha: float, beta: float, call: Call) -> fx.Node:
    slope = call.write(torch.mul, call.inputs[0], call.get("alpha", alpha))
    return call.write(torch.clamp, call.write(torch.add, slope, call.get("beta", beta)), 0.0, 1.0)


def _hard_swish(call: Call) -> fx.Node:
    return call.write(torch.mul, call.inputs[0], _gate(1 / 6, 0.5, call))


def _padded(call: Call, pads: Sequence[int], value: float) -> tuple[Any, list[int]]:
    """Return the input and the padding, height and width, that the operator adds itself: only the same on both sides.

    pads: top, left, bottom, right.
    """
    top, left, bottom, right = pads
    if (top, left) == (bottom, right):
        return call.inputs[0], [top, left]
    return call.write(F.pad, call.inputs[0], [left, right, top, bottom], "constant", value), [0, 0]


def _window(call: Call, sides: int) -> tuple[list[int], list[int], list[int]]:
    """Return pads, strides and dilations of a window over height and width."""
    call.expect(sides == 2 and call.get("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID"))
    return call.get("pads", [0] * 4), call.get("strides", [1, 1]), call.get("dilations", [1, 1])


def _conv(call: Call) -> fx.Node:
    pads, strides, dilations = _window(call, call.constant(1).ndim - 2)
    source, padding = _padded(call, pads, 0.0)
    bias = call.inputs[2] if call.given(2) else None
    return call.write(torch.conv2d, source, call.inputs[1], bias, strides, padding, dilations, call.get("group", 1))


def _max_pool(call: Call) -> fx.Node:
    kernel = call.attributes["kernel_shape"]
    pads, strides, dilations = _window(call, len(kernel))
    source, padding = _padded(call, pads, -np.inf)
    return call.write(F.max_pool2d, source, kernel, strides, padding, dilations, bool(call.get("ceil_mode", 0)))


def _average_pool(call: Call) -> fx.Node:
    kernel, counted = call.attributes["kernel_shape"], bool(call.get("count_include_pad", 0))
    pads, strides, dilations = _window(call, len(kernel))
    call.expect(dilations == [1, 1] and not call.get("ceil_mode", 0) and (counted or pads[:2] == pads[2:]))
    source, padding = _padded(call, pads, 0.0)
    return call.write(F.avg_pool2d, source, kernel, strides, padding, False, counted)


def _global_average_pool(call: Call) -> fx.Node:
    return call.write(torch.mean, call.inputs[0], [2, 3], True)


def _reduce(function: Callable[..., Any], call: Call) -> fx.Node:
    axes = call.integers("axes", 1)
    call.expect(bool(axes))
    return call.write(function, call.inputs[0], axes, bool(call.get("keepdims", 1)))


def _gemm(call: Call) -> fx.Node:
    one, other = (
        call.write(torch.t, call.inputs[place]) if call.get(name, 0) else call.inputs[place]
        for place, name in enumerate(("transA", "transB"))
    )
    product = call.write(torch.matmul, one, other)
    if call.get("alpha", 1.0) != 1:
        product = call.write(torch.mul, product, call.attributes["alpha"])
    return call.write(torch.add, product, call.inputs[2], alpha=call.get("beta", 1.0)) if call.given(2) else product


def _transpose(call: Call) -> fx.Node:
    return call.write(torch.permute, call.inputs[0], call.attributes["perm"])


def _reshape(call: Call) -> fx.Node:
    sides = [int(side) for side in call.constant(1)]
    call.expect(not call.get("allowzero", 0))
    kept = {
        place: call.graph.call_method("size", (call.inputs[0], place)) for place, side in enumerate(sides) if not side
    }
    return call.write(torch.reshape, call.inputs[0], [kept.get(place, side) for place, side in enumerate(sides)])


def _flatten(call: Call) -> fx.Node:
    call.expect(call.get("axis", 1) == 1)
    return call.write(torch.flatten, call.inputs[0], 1)


def _concat(call: Call) -> fx.Node:
    return call.write(torch.cat, list(call.inputs), call.attributes["axis"])


def _axis_by_axis(function: Callable[..., Any], backwards: bool, call: Call) -> fx.Node:
    axes, found = call.integers("axes", 1), call.inputs[0]
    call.expect(axes is not None and min(axes) >= 0)
    for axis in sorted(axes or (), reverse=backwards):
        found = call.write(function, found, axis)
    return found  # type: ignore[return-value]


def _pad(call: Call) -> fx.Node:
    call.expect(call.get("mode", b"constant") == b"constant" and not call.given(3))
    pads = call.integers("pads", 1) or []
    half = len(pads) // 2
    pairs = [pad for axis in reversed(range(half)) for pad in (pads[axis], pads[half + axis])]
    return call.write(F.pad, call.inputs[0], pairs, "constant", float(call.constant(2)) if call.given(2) else 0.0)


def _batch_norm(call: Call) -> fx.Node:
    call.expect(not call.get("training_mode", 0))
    source, scale, bias, mean, variance = call.inputs
    settings = (False, 0.0, call.get("epsilon", 1e-5), False)
    return call.write(torch.batch_norm, source, scale, bias, mean, variance, *settings)


def _leaky(call: Call) -> fx.Node:
    return call.write(F.leaky_relu, call.inputs[0], call.get("alpha", 0.01))


def _softmax(call: Call) -> fx.Node:
    return call.write(torch.softmax, call.inputs[0], call.get("axis", -1))


ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "Abs": torch.abs, "Add": torch.add, "Div": torch.div, "Erf": torch.erf, "Exp": torch.exp, "MatMul": torch.matmul,
    "Mul": torch.mul, "Neg": torch.neg, "Pow": torch.pow, "Relu": torch.relu, "Sigmoid": torch.sigmoid,
    "Sqrt": torch.sqrt, "Sub": torch.sub, "Tanh": torch.tanh,
}  # fmt: skip
OPERATORS: dict[str, Callable[[Call], fx.Node]] = {
    **{name: partial(_elementwise, function) for name, function in ELEMENTWISE.items()},
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Dropout": _same,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average_pool,
    "HardSigmoid": partial(_gate, 0.2, 0.5),
    "HardSwish": _hard_swish,
    "Identity": _same,
    "LeakyRelu": _leaky,
    "MaxPool": _max_pool,
    "Pad": _pad,
    "ReduceMean": partial(_reduce, torch.mean),
    "ReduceSum": partial(_reduce, torch.sum),
    "Reshape": _reshape,
    "Softmax": _softmax,
    "Squeeze": partial(_axis_by_axis, torch.squeeze, True),
    "Transpose": _transpose,
    "Unsqueeze": partial(_axis_by_axis, torch.unsqueeze, False),
}

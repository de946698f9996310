"""ONNX's operators on arrays, of opset 13 and newer: those of the graphs that `kit export` writes.

Each takes the arrays that its inputs will lie in, and returns those of its outputs, with the calls that fill them: the
same buffers are used for each batch. Constants are the arrays that cannot be written to.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .protobuf import TYPES, Array, Node

LARGEST_EXACT = 2**24  # up to which float32 has every integer
ONE_THREAD = 2**18  # products up to which OpenBLAS multiplies matrices on the thread that asks
Step = Callable[[], object]
Filled = tuple[list[Array], list[Step]]
Operator = Callable[[Node, list[Any]], Filled]


def elementwise(ufunc: np.ufunc, *more: Any) -> Operator:
    """Make the operator of a ufunc. more: arguments after the inputs."""

    def operator(_node: Node, inputs: list[Any]) -> Filled:
        given = (*inputs, *more)
        out = np.empty(np.broadcast_shapes(*map(np.shape, given)), inputs[0].dtype)
        *flat, filled = _flat(*given, out)
        return [out], [partial(ufunc, *flat, out=filled)]

    return operator


def cast(node: Node, inputs: list[Any]) -> Filled:  # noqa: D103 - an operator, as the module says; so are the others
    out = np.empty(inputs[0].shape, TYPES[node.attributes["to"]])
    return [out], [partial(np.copyto, out, inputs[0], "unsafe")]


def flatten(node: Node, inputs: list[Any]) -> Filled:  # noqa: D103
    axis, shape = node.attributes.get("axis", 1), inputs[0].shape
    return _reshaped(inputs[0], (int(np.prod(shape[:axis])), int(np.prod(shape[axis:]))))


def reshape(_node: Node, inputs: list[Any]) -> Filled:  # noqa: D103
    shape = [inputs[0].shape[place] if side == 0 else side for place, side in enumerate(_constant(inputs[1]).tolist())]
    return _reshaped(inputs[0], tuple(shape))


def transpose(node: Node, inputs: list[Any]) -> Filled:  # noqa: D103
    return [inputs[0].transpose(node.attributes.get("perm"))], []


def split(node: Node, inputs: list[Any]) -> Filled:  # noqa: D103
    places = np.cumsum(_constant(inputs[1]))[:-1].tolist()
    return np.split(inputs[0], places, node.attributes.get("axis", 0)), []


def concat(node: Node, inputs: list[Any]) -> Filled:  # noqa: D103
    axis = node.attributes["axis"]
    out = np.concatenate(inputs, axis)
    return [out], [partial(np.concatenate, inputs, axis, out)]


def gemm(node: Node, inputs: list[Any]) -> Filled:  # noqa: D103
    about = node.attributes
    if about.get("alpha", 1) != 1 or about.get("beta", 1) != 1:
        raise ValueError("Gemm with factors")
    left = inputs[0].T if about.get("transA") else inputs[0]
    right = inputs[1].T if about.get("transB") else inputs[1]
    out = np.empty((left.shape[0], right.shape[1]), left.dtype)
    steps = _product(left, right, out)
    if len(inputs) > 2 and inputs[2] is not None:
        steps.append(partial(np.add, *_flat(out, inputs[2], out)))
    return [out], steps


def matmul(_node: Node, inputs: list[Any]) -> Filled:  # noqa: D103
    out = np.matmul(*inputs)
    return [out], [partial(np.matmul, *inputs, out)]


def matmul_integer(_node: Node, inputs: list[Any]) -> Filled:
    """Sum in float32 where that is exact, else in float64."""
    left, right, *zeros = inputs
    zero_left, zero_right = (0 if zero is None else zero.astype(np.int64) for zero in (*zeros, None, None)[:2])
    weights = _constant(right).astype(np.int64) - zero_right
    largest = 255 * int(np.abs(weights).sum(axis=0).max(initial=0))
    kind = np.float32 if largest < LARGEST_EXACT else np.float64
    factors = weights.astype(kind)
    factors.flags.writeable = False
    values = np.empty(left.shape, kind)
    sums = np.empty((*left.shape[:-1], right.shape[1]), kind)
    out = np.empty(sums.shape, np.int32)
    steps: list[Step] = [partial(np.copyto, values, left)]
    if np.any(zero_left):
        steps.append(partial(np.subtract, values, kind(zero_left), values))
    steps += _product(values, factors, sums)
    steps.append(partial(np.copyto, out, sums, "unsafe") if largest < 2**31 else partial(_wrap, sums, out))
    return [out], steps


def reduce_max(node: Node, inputs: list[Any]) -> Filled:  # noqa: D103
    axes = node.attributes["axes"] if "axes" in node.attributes else _constant(inputs[1]).tolist()
    keep = bool(node.attributes.get("keepdims", 1))
    return _reduced(np.maximum, inputs[0], tuple(axes), keep)


def softmax(node: Node, inputs: list[Any]) -> Filled:  # noqa: D103
    values, axis = inputs[0], node.attributes.get("axis", -1)
    out = np.empty_like(values)
    (most,), steps = _reduced(np.maximum, values, axis, True)
    (total,), summing = _reduced(np.add, out, axis, True)
    steps += [partial(np.subtract, *_flat(values, most, out)), partial(np.exp, out, out)]
    return [out], [*steps, *summing, partial(np.divide, *_flat(out, total, out))]


def conv(node: Node, inputs: list[Any]) -> Filled:
    """Convolve images [N, C, H, W] with weights [F, C, h, w], without padding, as a product of matrices."""
    about = node.attributes
    if any(about.get("pads", [])) or about.get("group", 1) != 1 or set(about.get("dilations", [1])) != {1}:
        raise ValueError("Conv with padding, groups or dilation")
    images, weights, *bias = inputs
    count, filters = len(images), len(weights)
    down, across = about.get("strides", [1, 1])
    windows = sliding_window_view(images, weights.shape[2:], (2, 3))[:, :, ::down, ::across]
    columns = np.empty(windows.transpose(0, 1, 4, 5, 2, 3).shape, images.dtype)
    out = np.empty((count, filters, *windows.shape[2:4]), images.dtype)
    flat = columns.reshape(count, -1, out[0, 0].size), out.reshape(count, filters, -1)
    steps: list[Step] = [
        partial(np.copyto, columns, windows.transpose(0, 1, 4, 5, 2, 3)),
        partial(np.matmul, weights.reshape(filters, -1), *flat),
    ]
    if bias:
        steps.append(partial(np.add, out, bias[0][:, None, None], out))
    return [out], steps


def average_pool(node: Node, inputs: list[Any]) -> Filled:
    """Average over windows of images [N, C, H, W], without padding, as a product with a matrix of their weights."""
    about, images = node.attributes, inputs[0]
    if any(about.get("pads", [])):
        raise ValueError("AveragePool with padding")
    high, wide = about["kernel_shape"]
    down, across = about.get("strides", [1, 1])
    sides = images.shape[2:]
    windows = sliding_window_view(np.arange(sides[0] * sides[1]).reshape(sides), (high, wide))[::down, ::across]
    places = windows.reshape(-1, high * wide)
    weights = np.zeros((sides[0] * sides[1], len(places)), images.dtype)
    np.put_along_axis(weights, places.T, images.dtype.type(1) / (high * wide), 0)
    weights.flags.writeable = False
    (flat,), steps = _reshaped(images, (len(images) * images.shape[1], -1))
    out = np.empty((*images.shape[:2], *windows.shape[:2]), images.dtype)
    return [out], [*steps, *_product(flat, weights, out.reshape(len(flat), -1))]


def global_average_pool(_node: Node, inputs: list[Any]) -> Filled:  # noqa: D103
    (out,), steps = _reduced(np.add, inputs[0], (2, 3), True)
    count = inputs[0].dtype.type(inputs[0][0, 0].size)
    return [out], [*steps, partial(np.divide, out, count, out)]


def top_k(node: Node, inputs: list[Any]) -> Filled:  # noqa: D103
    values, (count,) = inputs[0], _constant(inputs[1]).tolist()
    if node.attributes.get("axis", -1) not in (-1, values.ndim - 1):
        raise ValueError("TopK of another axis")
    largest = node.attributes.get("largest", 1)
    shape = (*values.shape[:-1], count)
    out, places = np.empty(shape, values.dtype), np.empty(shape, np.int64)

    def step() -> None:
        places[...] = np.argsort(-values if largest else values, axis=-1, kind="stable")[..., :count]
        out[...] = np.take_along_axis(values, places, -1)

    return [out, places], [step]


def _constant(array: Array) -> Array:
    """Refuse an array that the graph computes where it has to be known before."""
    if array.flags.writeable:
        raise ValueError("a constant that the graph computes")
    return array


def _reshaped(array: Array, shape: tuple[int, ...]) -> Filled:
    """View an array with another shape, or copy it where its layout does not allow that."""
    if array.flags.c_contiguous:
        return [array.reshape(shape)], []
    out = np.empty(array.shape, array.dtype)
    return [out.reshape(shape)], [partial(np.copyto, out, array)]


def _reduced(ufunc: np.ufunc, array: Array, axes: int | tuple[int, ...], keep: bool) -> Filled:
    reduce: Any = ufunc.reduce
    out = np.asarray(reduce(array, axes, array.dtype, None, keep))
    if out.size == 1 and array.flags.c_contiguous:
        return [out], [partial(reduce, array.reshape(-1), 0, array.dtype, out.reshape(()))]
    return [out], [partial(reduce, array, axes, array.dtype, out, keep)]


def _product(left: Array, right: Array, out: Array) -> list[Step]:
    """Multiply matrices, as many rows at a time as keep to one thread."""
    rows = max(1, ONE_THREAD // max(1, right.size))
    right = right if right.flags.writeable else np.asfortranarray(right)
    return [
        partial(np.dot, left[start : start + rows], right, out[start : start + rows])
        for start in range(0, len(left), rows)
    ]


def _flat(*arrays: Any) -> list[Array]:
    """View arrays of one size, and of one element, with one axis or none, which is faster; others as they are."""
    given = [np.asarray(array) for array in arrays]
    if all(array.flags.c_contiguous and array.size in (1, given[-1].size) for array in given):
        return [array.reshape(-1) if array.size == given[-1].size else array.reshape(()) for array in given]
    return given


def _wrap(sums: Array, out: Array) -> None:
    """Bring sums to 32 bits as integers overflow."""
    out[...] = sums.astype(np.int64).astype(np.int32)


UFUNCS = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Max": np.maximum, "Min": np.minimum,
    "Sqrt": np.sqrt, "Log": np.log, "Abs": np.absolute, "Neg": np.negative, "Sign": np.sign,
}  # fmt: skip
OPERATORS: dict[str, Operator] = {
    **{name: elementwise(ufunc) for name, ufunc in UFUNCS.items()},
    "Relu": elementwise(np.maximum, np.float32(0)),
    "Identity": lambda _node, inputs: (inputs, []),
    "Cast": cast, "Flatten": flatten, "Reshape": reshape, "Transpose": transpose, "Split": split, "Concat": concat,
    "Gemm": gemm, "MatMul": matmul, "MatMulInteger": matmul_integer, "ReduceMax": reduce_max, "Softmax": softmax,
    "Conv": conv, "AveragePool": average_pool, "GlobalAveragePool": global_average_pool, "TopK": top_k,
}  # fmt: skip

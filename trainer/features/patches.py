"""Learns filters from patches of the training images, and writes them as an ONNX graph of features.

Coates, Lee and Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning", AISTATS 2011.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from runtime.errors import needs_extra

from ..data.mapped import Images
from ..errors import DataError
from .asked import Asked
from .graph import Graph
from .kinds import FILTERS

if TYPE_CHECKING:
    from onnx import ModelProto

CELLS = 4  # along each side, over which responses are averaged
PATCHES, MOST_IMAGES, BLOCK = 100_000, 10_000, 256
ITERATIONS = 10
FLOOR = 10.0  # added to the variance of a patch, of pixels 0-255
KEPT = 0.99  # of the variance of normalised patches, in the components that remain
DAMPING = 0.1  # added to the variance of each component before whitening
THRESHOLD = 0.5  # that a response has to pass
MIDDLE = 128  # subtracted from pixels, for precision: filters do not see it
SMALLEST = 6
IN_FLOAT = ["centre", "components", "square", "variance", "deviation", "normalise"]  # even if others are in 8 bits
OPSET, IR_VERSION = 13, 7


class Window(NamedTuple):
    """Where patches are taken: their side and the step between them, in pixels."""

    side: int
    step: int


class Filters(NamedTuple):
    """What is learned.

    basis: [D, P], orthogonal, of sum 0: principal components of normalised patches, which are laid out [k, k, C], times
        their whitening.
    shares: [D], of the squared components in the variance of a patch.
    weights: [F, D], directions among components that are divided by the deviation of their patch.
    bias: [F].
    """

    basis: Tensor
    shares: Tensor
    weights: Tensor
    bias: Tensor


def graph(asked: Asked) -> Graph:
    """Learn filters from the images of a data set, as `build` does."""
    filters = asked.settings.only(asked.name, "filters").filters or FILTERS
    data = build(asked.images, filters=filters, seed=asked.seed)
    return Graph(data, CELLS**2 * filters, {"filters": filters, "in_float": IN_FLOAT})


def build(
    images: Images, *, filters: int = FILTERS, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> bytes:
    """Learn filters and write the graph that applies them; equal arguments give equal bytes.

    A patch's deviation is the root of `FLOOR` plus its variance; the responses of whitened patches to the filters, less
    a threshold and at least 0, are averaged over 4 × 4 cells of the image.

    images: uint8 [N, H, W, C], for training.
    filters: how many to learn; an image has 16 features of each.
    seed: random seed, of the patches and of the filters to begin with.
    progress: called with the number of iterations done and of all.
    Returns the bytes of an ONNX file: `images` uint8 [N, H, W, C] → `features` float32 [N, 16 · filters]. Raises
    DataError where the images are smaller than 6 × 6.
    """
    height, width, channels = images.shape[1:]
    if min(height, width) < SMALLEST:
        raise DataError(
            f"expected images of at least {SMALLEST} × {SMALLEST} pixels, found {height} × {width}: "
            "raise the image size, or use --features pixels"
        )
    window = choose_window(height, width, channels)
    generator = torch.Generator().manual_seed(seed)
    with _one_thread():
        patches = _patches(images, window.side, generator)
        learned = _learn(patches, filters, generator, progress)
    model = _graph(learned, window, (height, width, channels))
    return bytes(model.SerializeToString(deterministic=True))


def choose_window(height: int, width: int, channels: int) -> Window:
    """Choose patches by the size of the images: 5 × 5 of grey and 6 × 6 of colour at about 32 × 32 pixels.

    Larger images are gone over in larger steps, with patches 4 pixels larger than the step.
    """
    shortest = min(height, width)
    step = max(1, math.isqrt(height * width) // 32)
    side = min(max(5 if channels == 1 else 6, step + 4), max(3, shortest // 3))
    return Window(side, max(1, min(step, (shortest - side) // (CELLS - 1))))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: on more, sums may be rounded otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _patches(images: Images, side: int, generator: torch.Generator) -> Tensor:
    """Cut patches at random places out of images, as many of each: float32 [n, P]."""
    height, width = images.shape[1:3]
    rows = torch.randperm(len(images), generator=generator)[:MOST_IMAGES].sort().values
    each = math.ceil(PATCHES / len(rows))
    inside = torch.arange(side)
    found = []
    for some in rows.split(BLOCK):
        which = torch.arange(len(some)).repeat_interleave(each)[:, None, None]
        top = torch.randint(height - side + 1, (len(which), 1, 1), generator=generator)
        left = torch.randint(width - side + 1, (len(which), 1, 1), generator=generator)
        block = images[some].cpu()
        found.append(block[which, top + inside[:, None], left + inside].flatten(1).float())
    return torch.cat(found)


def _learn(
    patches: Tensor, filters: int, generator: torch.Generator, progress: Callable[[int, int], None] | None
) -> Filters:
    """Normalise and whiten patches [n, P], and learn filters of them."""
    patches = patches - patches.mean(1, keepdim=True)
    patches /= (patches.square().mean(1, keepdim=True) + FLOOR).sqrt()
    mean = patches.mean(0).double()
    variances, components = torch.linalg.eigh(torch.cov(patches.T.double()))
    variances, components = variances.flip(0).clamp(min=0), components.flip(1)
    kept = 1 + int((variances.cumsum(0) < KEPT * variances.sum()).sum())
    basis = components[:, :kept] - components[:, :kept].mean(0)  # [P, D]
    damped = variances[:kept] + DAMPING
    whitening = 1 / damped.sqrt()
    whitened = ((patches - mean.float()) @ basis.float()) * whitening.float()
    weights = _directions(whitened, filters, generator, progress).double()  # [F, D]
    basis *= whitening
    return Filters(basis.T, damped / len(basis), weights, -weights @ (mean @ basis) - THRESHOLD)


def _directions(
    points: Tensor, count: int, generator: torch.Generator, progress: Callable[[int, int], None] | None
) -> Tensor:
    """Cluster points [n, D] by direction: spherical k-means, unit vectors [count, D].

    Coates and Ng, "Learning Feature Representations with K-means", 2012, section 3.
    """
    start = torch.randint(len(points), (count,), generator=generator)
    found = normalize(points[start])
    for done in range(ITERATIONS):
        sums = found.clone()
        for block in points.split(BLOCK * 32):
            products, nearest = (block @ found.T).max(1)
            sums.index_add_(0, nearest, block * products[:, None])
        found = normalize(sums)
        if progress:
            progress(done + 1, ITERATIONS)
    return found


def _graph(learned: Filters, window: Window, shape: tuple[int, int, int]) -> ModelProto:
    """Write the graph for images of `shape`, [H, W, C]."""
    with needs_extra("train", "writing a graph of features"):
        from onnx import TensorProto, helper, numpy_helper
    features = CELLS**2 * len(learned.weights)
    channels_last = learned.basis.reshape(-1, window.side, window.side, shape[2])
    tensors = {
        "middle": torch.tensor(float(MIDDLE)),
        "basis": channels_last.permute(0, 3, 1, 2),
        "shares": learned.shares[None, :, None, None],
        "floor": torch.tensor([FLOOR]),
        "weights": learned.weights[:, :, None, None],
        "bias": learned.bias,
    }
    steps = [window.step, window.step]
    pool, stride = zip(*(_cells((side - window.side) // window.step + 1) for side in shape[:2]), strict=True)
    node = helper.make_node
    nodes = [
        node("Transpose", ["images"], ["planes"], name="transpose", perm=[0, 3, 1, 2]),
        node("Cast", ["planes"], ["pixels"], name="cast", to=TensorProto.FLOAT),
        node("Sub", ["pixels", "middle"], ["centred"], name="centre"),
        node("Conv", ["centred", "basis"], ["components"], name="components", strides=steps),
        node("Mul", ["components", "components"], ["squares"], name="square"),
        node("Conv", ["squares", "shares", "floor"], ["variance"], name="variance"),
        node("Sqrt", ["variance"], ["deviation"], name="deviation"),
        node("Div", ["components", "deviation"], ["normalised"], name="normalise"),
        node("Conv", ["normalised", "weights", "bias"], ["responses"], name="filter"),
        node("Relu", ["responses"], ["positive"], name="relu"),
        node("AveragePool", ["positive"], ["cells"], name="pool", kernel_shape=pool, strides=stride),
        node("Flatten", ["cells"], ["features"], name="flatten", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "patches",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", *shape])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", features])],
        [numpy_helper.from_array(value.numpy().astype(np.float32), name) for name, value in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _cells(positions: int) -> tuple[int, int]:
    """Length of a cell, and the step to the next, where there are `positions`; cells overlap where they do not fit."""
    step = positions // CELLS
    return positions - step * (CELLS - 1), step

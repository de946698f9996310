"""The graph that tells images like the training images from others, by the density of features that it computes.

For pixels and patches these are of few filters; for a network they are its own. Contrast and roughness beyond those of
the training images count too. Plain operators, the same from opset 13 on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from runtime.errors import needs_extra

from ..data.dataset import Split
from ..data.features import Features
from .density import Density, density_of
from .patches import IR_VERSION, OPSET, build
from .texture import IMAGES, TEXTURE, texture_nodes

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

FILTERS = 48
OUTSIDE = 10.0  # distance for a contrast or roughness that is e times what was seen
MOST_IMAGES = 10_000
BLOCK, VALUES = 256, 2**24  # images, and values of pixels or features, that go through the graph at a time
FEATURES, FAMILIARITY = "features", "familiarity"


def sees_features(features: Features | None) -> bool:
    """Whether the graph takes features beside images: those of a network."""
    return features is not None and features.name != "patches"


def familiarity_graph(train: Split, features: Features | None, *, seed: int) -> NDArray[np.uint8]:
    """Fit to training images, and write an ONNX file: images, and a network's features → `familiarity`, float32 [N].

    train: images of at least 6 × 6 pixels, with features where the model is on features.
    features: whose output these are.
    seed: random seed.
    Returns uint8 [B]; the same bytes for equal arguments.
    """
    with needs_extra("train", "finding familiarity"):
        from onnx import load_model_from_string
    rows = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:MOST_IMAGES].sort().values
    some = train.unmirrored.subset(rows)
    height, width, channels = some.images.shape[1:]
    if features is not None and sees_features(features):
        model = _of_features((height, width, channels), features.size)
    else:
        model = load_model_from_string(build(some.images, filters=FILTERS, seed=seed))
    _add(model, TEXTURE, *texture_nodes((height, width, channels)))
    values, texture = _run(model, some, features)
    _add(model, "density", *_distance(density_of(values, some.targets.cpu().numpy()), texture))
    return np.frombuffer(_finished(model), np.uint8)


def scores(graph: NDArray[np.uint8], split: Split, features: Features | None) -> NDArray[np.float32]:
    """Compute the familiarity of images: float32 [N]."""
    from runtime.session import open_session

    session = open_session(graph.tobytes())
    return np.concatenate([session.run([FAMILIARITY], block)[0] for block in _blocks(split, features)])


def _blocks(split: Split, features: Features | None) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield what the graph is given, some images at a time."""
    size = max(1, min(BLOCK, VALUES // split.images.shape[1:].numel()))
    for start in range(0, len(split), size):
        block = {IMAGES: split.images[start : start + size].cpu().numpy()}
        if sees_features(features) and split.features is not None:
            block[FEATURES] = split.features[start : start + size].cpu().numpy().reshape(len(block[IMAGES]), -1)
        yield block


def _of_features(shape: tuple[int, int, int], size: int) -> ModelProto:
    """A model without nodes, from images of this shape and their features."""
    from onnx import TensorProto, helper

    inputs = [
        helper.make_tensor_value_info(IMAGES, TensorProto.UINT8, ["N", *shape]),
        helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["N", size]),
    ]
    graph = helper.make_graph([], "familiarity", inputs, [])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _run(model: ModelProto, split: Split, features: Features | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute features [N, D] and texture [N, 2]."""
    from onnx import TensorProto, helper

    from runtime.session import open_session

    model.graph.output.append(helper.make_tensor_value_info(TEXTURE, TensorProto.FLOAT, ["N", 2]))
    session, values, texture = open_session(model.SerializeToString()), [], []
    names = [TEXTURE] if sees_features(features) else [TEXTURE, FEATURES]
    for block in _blocks(split, features):
        found = session.run(names, block)
        texture.append(found[0])
        values.append(block[FEATURES] if sees_features(features) else found[1])
    return np.concatenate(values), np.concatenate(texture)


def _distance(density: Density, texture: NDArray[np.float32]) -> tuple[list[NodeProto], dict[str, NDArray[Any]]]:
    """Return nodes from features and texture to familiarity, and their constants.

    Familiarity is −distance / D, less OUTSIDE times how far the texture is from what was seen.

    texture: of the training images, [N, 2].
    """
    from onnx import helper

    node = helper.make_node
    nodes = [
        node("Sign", [FEATURES], ["sign"]),
        node("Abs", [FEATURES], ["magnitude"]),
        node("Mul", ["magnitude", "inverse"], ["scaled"]),
        node("Sqrt", ["scaled"], ["root"]),
        node("Mul", ["root", "sign"], ["signed"]),
        node("Sub", ["signed", "mean"], ["less_mean"]),
        node("Mul", ["less_mean", "less_mean"], ["square"]),
        node("MatMul", ["square", "residual_shares"], ["whole"]),
        node("Gemm", ["less_mean", "projection", "constant"], ["both"]),
        node("Split", ["both", "parts"], ["along", "linear"], axis=1),
        node("Mul", ["along", "along"], ["along_square"]),
        node("MatMul", ["along_square", "ones"], ["known"]),
        node("Sub", ["whole", "known"], ["rest"]),
        node("TopK", ["linear", "one"], ["nearest", "class"], axis=1, largest=0),
        node("Add", ["rest", "nearest"], ["distance"]),
        node("Max", [TEXTURE, "lowest"], ["above"]),
        node("Min", ["above", "highest"], ["within"]),
        node("Sub", [TEXTURE, "within"], ["beyond"]),
        node("Abs", ["beyond"], ["outside"]),
        node("MatMul", ["outside", "outside_weight"], ["penalty"]),
        node("Add", ["distance", "penalty"], ["total"]),
        node("Neg", ["total"], ["negative"]),
        node("Reshape", ["negative", "flat"], [FAMILIARITY]),
    ]
    limits = {"lowest": texture.min(axis=0), "highest": texture.max(axis=0)}
    return nodes, _tensors(density) | limits | {"outside_weight": np.full((2, 1), OUTSIDE)}


def _tensors(density: Density) -> dict[str, NDArray[Any]]:
    """Return the constants of a distance, each divided so that the distance is."""
    directions, classes, size = density.along.shape[1], density.linear.shape[1], len(density.mean)
    width = np.array([np.sqrt(size)] * directions + [size] * classes)
    return {
        "inverse": np.array(1 / density.scale),
        "mean": density.mean,
        "residual_shares": np.full((size, 1), 1 / (density.residual * size)),
        "projection": np.concatenate([density.along, density.linear], axis=1) / width,
        "constant": np.concatenate([np.zeros(directions), density.constant / size]),
        "parts": np.array([directions, classes], np.int64),
        "ones": np.ones((directions, 1)),
        "one": np.array([1], np.int64),
        "flat": np.array([-1], np.int64),
    }


def _add(model: ModelProto, name: str, nodes: list[NodeProto], tensors: dict[str, NDArray[Any]]) -> None:
    """Add nodes, which are named by `name` and a number, and their constants."""
    from onnx import numpy_helper

    for number, node in enumerate(nodes):
        node.name = f"{name}_{number}"
    model.graph.node.extend(nodes)
    for constant, value in tensors.items():
        kept = np.array(value, value.dtype if value.dtype == np.int64 else np.float32, order="C")
        model.graph.initializer.append(numpy_helper.from_array(kept, constant))


def _finished(model: ModelProto) -> bytes:
    """Check a model and write it: familiarity is its only output."""
    from onnx import TensorProto, checker, helper

    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(FAMILIARITY, TensorProto.FLOAT, ["N"]))
    model.graph.name = FAMILIARITY
    checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))

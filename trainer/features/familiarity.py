"""The graph that tells images like the training images from others, by the density of features that it computes.

For pixels and patches these are of few filters, with limits on contrast and roughness; for a network they are its
own. Plain operators, the same from opset 13 on.
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
from ..errors import ConfigError
from .density import Density, density_of
from .patches import IR_VERSION, OPSET, SMALLEST, build

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

FILTERS = 48
OUTSIDE = 10.0  # distance for a contrast or roughness that is e times what was seen
MOST_IMAGES = 10_000
BLOCK, VALUES = 256, 2**24  # images, and values of pixels or features, that go through the graph at a time
IMAGES, FEATURES, FAMILIARITY, TEXTURE = "images", "features", "familiarity", "texture"


def sees_features(features: Features | None) -> bool:
    """Whether the graph takes features rather than images: those of a network."""
    return features is not None and features.name != "patches"


def familiarity_graph(train: Split, features: Features | None, *, seed: int) -> NDArray[np.uint8]:
    """Fit to training images, and write an ONNX file: images, or a network's features → `familiarity`, float32 [N].

    train: images, with features where the model is on features.
    features: whose output these are.
    seed: random seed.
    Returns uint8 [B]; the same bytes for equal arguments. Raises ConfigError for images smaller than 6 × 6.
    """
    with needs_extra("train", "finding familiarity"):
        from onnx import load_model_from_string
    rows = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:MOST_IMAGES].sort().values
    some = train.unmirrored.subset(rows)
    targets = some.targets.cpu().numpy()
    if features is not None and sees_features(features):
        model = _of_features(features.size)
        values = np.concatenate([block.reshape(len(block), -1) for block in _blocks(some.inputs)])
        nodes, tensors = _distance(density_of(values, targets))
    else:
        if min(train.images.shape[1:3]) < SMALLEST:
            raise ConfigError(
                f"familiarity: expected images of at least {SMALLEST} × {SMALLEST} pixels, found "
                f"{' × '.join(map(str, train.images.shape[1:3]))}: leave out --familiarity, or raise --image-size"
            )
        model = load_model_from_string(build(some.images, filters=FILTERS, seed=seed))
        _add_texture(model, train.images.shape[3])
        values, texture = _run(model, some)
        nodes, tensors = _distance(density_of(values, targets), texture)
    return np.frombuffer(_finished(model, nodes, tensors), np.uint8)


def scores(graph: NDArray[np.uint8], split: Split, features: Features | None) -> NDArray[np.float32]:
    """Compute the familiarity of images: float32 [N]."""
    from runtime.session import open_session

    session, name = open_session(graph.tobytes()), FEATURES if sees_features(features) else IMAGES
    if name == FEATURES:
        blocks = [block.reshape(len(block), -1) for block in _blocks(split.inputs)]
    else:
        blocks = list(_blocks(split))
    return np.concatenate([session.run([FAMILIARITY], {name: block})[0] for block in blocks])


def _blocks(split: Split) -> Iterator[NDArray[Any]]:
    size = max(1, min(BLOCK, VALUES // split.images.shape[1:].numel()))
    return (block.cpu().numpy() for block in split.images.split(size))


def _of_features(size: int) -> ModelProto:
    """A model without nodes, from features to familiarity."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [], "familiarity", [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["N", size])], []
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _add_texture(model: ModelProto, channels: int) -> None:
    """Add two numbers of the whole image as an output, [N, 2].

    The logarithm of the patches' mean deviation; and of the mean difference between neighbouring pixels, less that.
    """
    from onnx import TensorProto, helper, numpy_helper

    node = helper.make_node
    right, down = [[-1, 1], [0, 0]], [[-1, 0], [1, 0]]
    kernel = np.array([[right], [down]] * channels, np.float32)  # [2C, 1, 2, 2]
    tensors = {"neighbours": kernel, "mean_of_channels": np.full((2 * channels, 1), 1 / channels, np.float32)}
    tensors["least"] = np.array(1, np.float32)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in tensors.items())
    nodes = [
        node("GlobalAveragePool", ["deviation"], ["mean_deviation"]),
        node("Flatten", ["mean_deviation"], ["flat_deviation"], axis=1),
        node("Log", ["flat_deviation"], ["contrast"]),
        node("Conv", ["centred", "neighbours"], ["differences"], group=channels),
        node("Abs", ["differences"], ["steps"]),
        node("GlobalAveragePool", ["steps"], ["mean_steps"]),
        node("Flatten", ["mean_steps"], ["flat_steps"], axis=1),
        node("MatMul", ["flat_steps", "mean_of_channels"], ["step"]),
        node("Add", ["step", "least"], ["step_and_least"]),
        node("Log", ["step_and_least"], ["roughness"]),
        node("Sub", ["roughness", "contrast"], ["relative_roughness"]),
        node("Concat", ["contrast", "relative_roughness"], [TEXTURE], axis=1),
    ]
    for number, found in enumerate(nodes):
        found.name = f"{TEXTURE}_{number}"
    model.graph.node.extend(nodes)
    model.graph.output.append(helper.make_tensor_value_info(TEXTURE, TensorProto.FLOAT, ["N", 2]))


def _run(model: ModelProto, split: Split) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    from runtime.session import open_session

    session = open_session(model.SerializeToString())
    found = [session.run([FEATURES, TEXTURE], {IMAGES: block}) for block in _blocks(split)]
    values, texture = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return values, texture


def _distance(
    density: Density, texture: NDArray[np.float32] | None = None
) -> tuple[list[NodeProto], dict[str, NDArray[Any]]]:
    """Return nodes from features and texture to familiarity, and their constants.

    Familiarity is −distance / D, less OUTSIDE times how far the texture is from what was seen.

    texture: of the training images, [N, 2]; None for a model on features.
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
        node("MatMul", ["square", "shares"], ["whole"]),
        node("Gemm", ["less_mean", "projection", "constant"], ["both"]),
        node("Split", ["both", "parts"], ["along", "linear"], axis=1),
        node("Mul", ["along", "along"], ["along_square"]),
        node("MatMul", ["along_square", "ones"], ["known"]),
        node("Sub", ["whole", "known"], ["rest"]),
        node("TopK", ["linear", "one"], ["nearest", "class"], axis=1, largest=0),
        node("Add", ["rest", "nearest"], ["distance"]),
    ]
    last, tensors = "distance", _tensors(density)
    if texture is not None:
        nodes += [
            node("Max", [TEXTURE, "lowest"], ["above"]),
            node("Min", ["above", "highest"], ["within"]),
            node("Sub", [TEXTURE, "within"], ["beyond"]),
            node("Abs", ["beyond"], ["outside"]),
            node("MatMul", ["outside", "weight"], ["penalty"]),
            node("Add", ["distance", "penalty"], ["total"]),
        ]
        tensors |= {"lowest": texture.min(axis=0), "highest": texture.max(axis=0)}
        tensors["weight"], last = np.full((2, 1), OUTSIDE), "total"
    nodes += [node("Neg", [last], ["negative"]), node("Reshape", ["negative", "flat"], [FAMILIARITY])]
    return nodes, tensors


def _tensors(density: Density) -> dict[str, NDArray[Any]]:
    """Return the constants of a distance, each divided so that the distance is."""
    directions, classes, size = density.along.shape[1], density.linear.shape[1], len(density.mean)
    width = np.array([np.sqrt(size)] * directions + [size] * classes)
    return {
        "inverse": np.array(1 / density.scale),
        "mean": density.mean,
        "shares": np.full((size, 1), 1 / (density.residual * size)),
        "projection": np.concatenate([density.along, density.linear], axis=1) / width,
        "constant": np.concatenate([np.zeros(directions), density.constant / size]),
        "parts": np.array([directions, classes], np.int64),
        "ones": np.ones((directions, 1)),
        "one": np.array([1], np.int64),
        "flat": np.array([-1], np.int64),
    }


def _finished(model: ModelProto, nodes: list[NodeProto], tensors: dict[str, NDArray[Any]]) -> bytes:
    """Add nodes and constants, check the model, and write it: familiarity is its only output."""
    from onnx import TensorProto, checker, helper, numpy_helper

    for number, node in enumerate(nodes):
        node.name = f"density_{number}"
    model.graph.node.extend(nodes)
    for name, value in tensors.items():
        kept = np.array(value, value.dtype if value.dtype == np.int64 else np.float32, order="C")
        model.graph.initializer.append(numpy_helper.from_array(kept, name))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(FAMILIARITY, TensorProto.FLOAT, ["N"]))
    model.graph.name = FAMILIARITY
    checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))

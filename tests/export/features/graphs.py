"""Small features graphs, and checkpoints on them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from export.features.running import features_of
from export.gate.parity import regression
from runtime import ImageContract
from trainer import Checkpoint
from trainer.data.features import Features

IMAGE = ImageContract(height=8, width=8, color="RGB")
LABELS = ("a", "b", "c")
SIZE = 12
START = [
    helper.make_node("Transpose", ["images"], ["first"], perm=[0, 3, 1, 2]),
    helper.make_node("Cast", ["first"], ["pixels"], to=TensorProto.FLOAT),
]


def graph_of(
    nodes: Sequence[NodeProto],
    tensors: Mapping[str, NDArray[Any]],
    size: int = SIZE,
    *,
    opset: int = 13,
    ir_version: int = 7,
) -> Features:
    """A graph from `images`, of IMAGE, to `features`; nodes and tensors have names of the artefact's own too."""
    graph = helper.make_graph(
        list(nodes),
        "features",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 8, 8, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", size])],
        [numpy_helper.from_array(tensor, name) for name, tensor in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    data = np.frombuffer(model.SerializeToString(deterministic=True), np.uint8)
    return Features("small", size, data, {"weights": {"licence": "Apache-2.0"}})


def convolution(**versions: int) -> Features:
    """Two convolutions, the second of each channel by itself, with the operators of small networks."""
    generator = np.random.default_rng(0)
    nodes = [
        *START,
        helper.make_node("Sub", ["pixels", "centre"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["normalised"]),
        helper.make_node("Conv", ["normalised", "weights", "bias"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["probabilities"]),
        helper.make_node("Conv", ["probabilities", "depthwise"], ["d"], kernel_shape=[3, 3], group=SIZE,
                         strides=[2, 2], pads=[0, 0, 1, 1]),
        helper.make_node("Clip", ["d", "0", "6"], ["logits"]),
        helper.make_node("GlobalAveragePool", ["logits"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"], axis=1),
    ]  # fmt: skip
    tensors = {
        "centre": np.full((3, 1, 1), 127, np.float32),
        "scale": np.full((3, 1, 1), 128, np.float32),
        "weights": generator.normal(0, 0.4, (SIZE, 3, 3, 3)).astype(np.float32),
        "bias": generator.normal(0, 0.1, SIZE).astype(np.float32),
        "depthwise": generator.normal(0.2, 0.4, (SIZE, 1, 3, 3)).astype(np.float32),
        "0": np.array(0, np.float32),
        "6": np.array(6, np.float32),
    }
    return graph_of(nodes, tensors, **versions)


def pictures(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Images of IMAGE that differ in brightness, colour and texture."""
    generator = np.random.default_rng(seed)
    base = generator.integers(30, 226, (count, 1, 1, 3)) + generator.integers(-30, 30, (count, 8, 8, 3))
    return base.clip(0, 255).astype(np.uint8)


def on_features(features: Features, **changes: Any) -> Checkpoint:
    """A checkpoint with a regression on a graph."""
    generator = np.random.default_rng(1)
    golden, sample = pictures(6, 1), pictures(40, 2)
    seen = features_of(features, sample)
    found = Checkpoint(
        weights=generator.normal(size=(features.size, 3)).astype(np.float32),
        bias=generator.normal(size=3).astype(np.float32),
        mean=sample.mean(axis=(0, 1, 2)).astype(np.float32),
        std=sample.std(axis=(0, 1, 2)).astype(np.float32),
        centre=seen.mean(axis=0),
        scale=seen.std(axis=0) + np.float32(1e-3),
        golden_images=golden,
        golden_probabilities=np.zeros((6, 3), np.float32),
        sample_images=sample,
        labels=LABELS,
        image=IMAGE,
        provenance={"data": {"name": "pictures"}},
        features=features,
    )
    probabilities = regression(found, features_of(features, golden).astype(np.float64)).astype(np.float32)
    return Checkpoint(**{**vars(found), "golden_probabilities": probabilities, **changes})

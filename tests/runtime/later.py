"""A hand-written artefact of format 2.0 with every entry, of the page's example: features, familiarity, decisions."""

import copy
import json
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from runtime.artefact import from_json
from runtime.seal import EMPTY_SEAL, seal
from tests.runtime.page import LATER_EXAMPLE

WEIGHTS = np.array([[0.023, -0.011], [0.01, 0.03], [-0.04, 0.02], [0.01, -0.02]], np.float32)
CENTRE = np.full(4, 111, np.float32)
GOLDEN = np.array([0, 64, 128, 255, 200, 10, 90, 30], np.uint8).reshape(2, 2, 2, 1)


def answers(images: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities [N, 2] and familiarity [N] of uint8 [N, 2, 2, 1], by numpy."""
    features = images.reshape(len(images), -1) - CENTRE.astype(np.float64)
    exponentials = np.exp(features @ WEIGHTS)
    return exponentials / exponentials.sum(axis=1, keepdims=True), features.max(axis=1)


def later_document(**entries: Any) -> dict[str, Any]:
    """The page's example, with golden examples of the graph below, and other entries."""
    document: dict[str, Any] = copy.deepcopy(LATER_EXAMPLE)
    golden = from_json(document).golden._replace(images=GOLDEN, probabilities=answers(GOLDEN)[0].astype(np.float32))
    document["golden"] = json.loads(json.dumps(golden.to_json()))
    return document | entries


def later_model(
    document: dict[str, Any] | None = None, outputs: tuple[str, ...] = ("features", "familiarity")
) -> bytes:
    """An ONNX file with a document; a graph of 2 × 2 grey images that has these outputs after the probabilities."""
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["pixels"], ["flat"], axis=1),
        helper.make_node("Sub", ["flat", "centre"], ["features"]),
        helper.make_node("ReduceMax", ["features"], ["familiarity"], axes=[1], keepdims=0),
        helper.make_node("Identity", ["familiarity"], ["later"]),
        helper.make_node("Gemm", ["features", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    shapes: dict[str, Any] = {"probabilities": ["N", 2], "features": ["N", 4], "familiarity": ["N"], "later": ["N"]}
    graph = helper.make_graph(
        nodes,
        "later",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 2, 2, 1])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in ("probabilities", *outputs)],
        [numpy_helper.from_array(WEIGHTS, "weights"), numpy_helper.from_array(CENTRE, "centre")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    texts = {f"kit.{name}": json.dumps(value) for name, value in (document or later_document()).items()}
    helper.set_model_props(model, texts | {"kit.seal": EMPTY_SEAL.decode()})
    onnx.checker.check_model(model)
    return seal(model.SerializeToString())

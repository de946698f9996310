"""ONNX, written node by node: Cast, Flatten, Gemm, Softmax. Needs no torch."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from runtime import load
from runtime.artefact import INPUT, OUTPUT, Metadata
from trainer.checkpoint import Checkpoint

from .fold import fold
from .parity import Artefact

OPSET = 13
IR_VERSION = 7


def write(checkpoint: Checkpoint, metadata: Metadata) -> bytes:
    """Write the model as an ONNX file for onnxruntime 1.15 or newer; equal checkpoints give equal bytes."""
    weights, bias = (array.astype(np.float32) for array in fold(checkpoint))
    nodes = [
        helper.make_node("Cast", [INPUT], ["pixels"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["pixels"], ["features"], name="flatten", axis=1),
        helper.make_node("Gemm", ["features", "weights", "bias"], ["logits"], name="gemm"),
        helper.make_node("Softmax", ["logits"], [OUTPUT], name="softmax", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "softmax_regression",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", *metadata.image.shape])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", len(metadata.labels)])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(
        graph, producer_name="softmax-kit", ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)]
    )
    helper.set_model_props(model, metadata.to_props())
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def open_artefact(path: Path) -> Artefact:
    """Open an ONNX artefact with the runtime that users run."""
    return load(path)

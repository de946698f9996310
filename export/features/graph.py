"""Reads the ONNX file of a features graph, and renames its parts for a larger graph."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, compose, inliner

from runtime.artefact import FAMILIARITY, FEATURES, INPUT
from runtime.text import one_line
from trainer.data.features import Features

from ..errors import ExportError

STANDARD = ("", "ai.onnx", "ai.onnx.ml")  # the domains of operators that every onnxruntime has
PREFIX, FAMILIARITY_PREFIX = "features/", "familiarity/"


def model_of(features: Features) -> ModelProto:
    """Read the graph, without local functions. Raises ExportError for one that no artefact can hold."""
    data = features.graph.tobytes()
    try:
        onnx.checker.check_model(data)
    except onnx.checker.ValidationError as error:
        raise _unusable(features, f"one that onnx refuses ({one_line(error)[:200]})") from None
    model = onnx.load_model_from_string(data)
    if model.functions:
        model = inliner.inline_local_functions(model)
    inputs, outputs = ([value.name for value in values] for values in (model.graph.input, model.graph.output))
    constants = {tensor.name for tensor in model.graph.initializer}
    if [name for name in inputs if name not in constants] != [INPUT] or outputs != [FEATURES]:
        raise _unusable(features, f"one from {', '.join(inputs)} to {', '.join(outputs)}")
    others = sorted({node.domain for node in model.graph.node} - set(STANDARD))
    if others:
        raise _unusable(features, f"operators of {', '.join(others)}")
    return model


def opset_of(model: ModelProto) -> int:
    """Return the version of the standard operators that a graph is written with."""
    return next(int(found.version) for found in model.opset_import if found.domain in STANDARD[:2])


def prefixed(model: ModelProto) -> GraphProto:
    """Rename all but the input and the output, so that other nodes may be added."""
    graph = compose.add_prefix_graph(model.graph, PREFIX, rename_inputs=False, rename_outputs=False)
    inputs = [value for value in graph.input if value.name == INPUT]  # before IR version 4 constants were there too
    del graph.input[:], graph.value_info[:]
    graph.input.extend(inputs)
    return graph


def with_familiarity(graph: GraphProto, familiarity: NDArray[np.uint8]) -> None:
    """Add the nodes of a familiarity graph, from images or from features, and its output."""
    inner = compose.add_prefix_graph(
        onnx.load_model_from_string(familiarity.tobytes()).graph,
        FAMILIARITY_PREFIX,
        rename_inputs=False,
        rename_outputs=False,
    )
    graph.node.extend(inner.node)
    graph.initializer.extend(inner.initializer)
    graph.output.extend(value for value in inner.output if value.name == FAMILIARITY)


def _unusable(features: Features, found: str) -> ExportError:
    return ExportError(
        f"expected a features graph of standard operators from {INPUT} to {FEATURES}, found {found}: train again "
        f"with other --features than {features.name!r}"
    )

"""Features in float64, of as many images as a bounded time allows: what the float32 of an artefact is compared with."""

import time
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from runtime.artefact import INPUT
from runtime.image import Pixels
from runtime.text import one_line
from trainer.data.features import Features

from ..errors import ExportError
from ..features.graph import model_of
from .parity import Answer, Probabilities

SECONDS = 4.0
FEWEST = 8  # images, whatever they take
BLOCK = 8  # images at a time


def features_in_float64(features: Features, images: Pixels) -> NDArray[np.float64]:
    """Compute the features of the first images: of all within SECONDS, and of FEWEST at least.

    images: uint8 [N, H, W, C], N ≥ 2.
    Returns float64 [M, D], 1 ≤ M ≤ N. Raises ExportError for a graph that neither torch nor ONNX's own reference, which
    is slow, can run in float64.
    """
    run = evaluator(model_of(features))
    try:
        found = [run(images[:1])]  # the first takes longer
        start = time.perf_counter()
        found.append(run(images[1:2]))
        each = time.perf_counter() - start
        count = min(len(images), max(FEWEST, int(SECONDS / max(each, 1e-6))))
        found += [run(images[at : min(at + BLOCK, count)]) for at in range(2, count, BLOCK)]
    except Exception as error:  # of any operator
        raise ExportError(
            f"expected a features graph {features.name!r} that runs in float64 too, for the reference, found one that "
            f"does not ({one_line(error)[:200]}): export a graph of other operators"
        ) from error
    result: NDArray[np.float64] = np.concatenate(found)
    return result


def evaluator(model: ModelProto) -> Answer:
    """Return what runs a graph in float64: torch, where it is there and knows all operators, or ONNX's reference."""
    try:
        from ..features.operators import UntranslatedError
        from ..features.translate import translated
        from ..raw_pixels import run
    except ModuleNotFoundError:  # torch
        return _by_onnx(model)
    try:
        return partial(_on_one_thread, partial(run, translated(model, double=True)))
    except UntranslatedError:
        return _by_onnx(model)


def _on_one_thread(answer: Answer, images: Pixels) -> Probabilities:
    """Run torch on one thread: on several, its float64 convolutions of one channel take some twenty times as long."""
    import torch

    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return answer(images)
    finally:
        torch.set_num_threads(usual)


def _by_onnx(model: ModelProto) -> Answer:
    session = ReferenceEvaluator(doubled(model))

    def run(images: Pixels) -> Probabilities:
        (found,) = session.run(None, {INPUT: images})
        return np.asarray(found)

    return run


def doubled(model: ModelProto) -> ModelProto:
    """Return a copy with float64 for float32: constants, casts and types."""
    result = ModelProto()
    result.CopyFrom(model)
    _double(result)
    return result


def _double(message: Any) -> None:
    """Change the tensors and types in a message, and the type that a Cast names."""
    for field, value in message.ListFields():
        if not field.message_type:
            continue
        for part in [value] if hasattr(value, "ListFields") else value:
            if isinstance(part, TensorProto) and part.data_type == TensorProto.FLOAT:
                part.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(part).astype(np.float64), part.name))
            elif field.name == "tensor_type" and part.elem_type == TensorProto.FLOAT:
                part.elem_type = TensorProto.DOUBLE
            elif field.name == "attribute" and part.name == "to" and part.i == TensorProto.FLOAT:
                part.i = TensorProto.DOUBLE
            elif field.name == "attribute" and part.name in ("value_float", "value_floats"):
                values = part.f if part.name == "value_float" else part.floats
                part.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(np.array(values, np.float64))))
            else:
                _double(part)

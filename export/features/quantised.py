"""Writes a features graph in 8 bits, with onnxruntime's own quantisation: an approximation, not the same everywhere.

Activations become unsigned and weights signed bytes, with one scale a channel, between QuantizeLinear and
DequantizeLinear of the standard operators; onnxruntime sums them in integers. What it sums them with depends on the
processor: x86 without VNNI adds pairs of products in 16 bits, which saturate unless the weights have 7 bits.
"""

import logging
import platform
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from runtime.artefact import INPUT
from runtime.image import Pixels
from runtime.session import onnxruntime
from runtime.text import one_line
from trainer.data.features import Features

from ..errors import ExportError

OPERATORS = ["Add", "Clip", "Conv", "Gemm", "MatMul", "MaxPool", "Relu"]  # the others stay in float32
MOST_IMAGES = 128  # to see the ranges of activations on
X86, CPUINFO = ("amd64", "x86_64"), Path("/proc/cpuinfo")


def quantised(features: Features, sample: Pixels) -> Features:
    """Quantise a graph: the same bytes for the same graph, sample, onnxruntime and kind of processor.

    Nodes that the features name as "in_float" stay in float32.

    sample: uint8 [S, H, W, C], S ≥ 1 training images, for the ranges of the activations.
    Raises ExportError where onnxruntime cannot quantise it.
    """
    tool, sample = _tool(), sample[:MOST_IMAGES]
    reduced = not sums_exactly()
    try:
        with tempfile.TemporaryDirectory() as folder, _without_warnings():
            source, target = Path(folder, "float32.onnx"), Path(folder, "int8.onnx")
            source.write_bytes(features.graph.tobytes())
            tool.quantize_static(
                str(source),
                str(target),
                _Images(sample),
                quant_format=tool.QuantFormat.QDQ,
                op_types_to_quantize=OPERATORS,
                nodes_to_exclude=list(features.about.get("in_float", ())),
                per_channel=True,
                reduce_range=reduced,
                activation_type=tool.QuantType.QUInt8,
                weight_type=tool.QuantType.QInt8,
            )
            graph = np.frombuffer(target.read_bytes(), np.uint8)
    except Exception as error:  # of any operator
        raise ExportError(
            f"expected a features graph that onnxruntime can quantise, found that it cannot for {features.name!r} "
            f"({one_line(error)[:200]}): export to onnx"
        ) from error
    about = {"images": len(sample), "reduce_range": reduced, "onnxruntime": onnxruntime().__version__}
    return features._replace(graph=graph, about={**features.about, "int8": about})


def sums_exactly() -> bool:
    """Say whether this processor sums products of bytes without saturation: with VNNI, or where it is no x86."""
    if platform.machine().lower() not in X86:
        return True
    with suppress(OSError):
        return bool(re.search(r"\bavx(512)?_vnni\b", CPUINFO.read_text()))
    return False


class _Images:
    """Hands over images one by one, as `CalibrationDataReader` of onnxruntime does."""

    def __init__(self, images: Pixels) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, Pixels] | None:
        return next(({INPUT: image[None]} for image in self._images), None)


def _tool() -> Any:
    onnxruntime()
    return import_module("onnxruntime.quantization")


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence the advice to prepare the graph first, which is for graphs with batch norms."""
    usual = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(usual)

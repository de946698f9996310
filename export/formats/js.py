"""An ES module for browsers and Node: a folder with it and the onnx-int8 artefact."""

from pathlib import Path

from runtime import load
from runtime.artefact import Metadata
from runtime.web.model import WebModel
from trainer.checkpoint import Checkpoint

from ..arithmetic.fold import check_pixels
from ..arithmetic.quantise import Quantised
from ..gate.parity import Answer
from ..web.source import folder
from . import onnx_int8
from .compatibility import Target

__all__ = ["in_8_bits", "open_artefact", "prepare", "write"]


def prepare(checkpoint: Checkpoint) -> Quantised:
    """Fold and quantise, as for onnx-int8. Raises ExportError for a model on features."""
    check_pixels(checkpoint, "browsers")
    return onnx_int8.quantised(checkpoint)


def write(numbers: Quantised, metadata: Metadata, target: Target) -> dict[str, bytes]:
    """Write the module, its types, the model, README.md and package.json."""
    return folder(onnx_int8.write(numbers, metadata, target), metadata)


def in_8_bits(numbers: Quantised, metadata: Metadata) -> Answer:
    """What onnxruntime answers with the same numbers."""
    return load(onnx_int8.write(numbers, metadata, Target())).probabilities


def open_artefact(path: Path) -> WebModel:
    """Open the model with Node. Raises ToolchainError."""
    return WebModel(path)

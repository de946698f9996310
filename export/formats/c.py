"""C99 for microcontrollers: a folder of source files, with the numbers of onnx-int8."""

from pathlib import Path

from runtime import load
from runtime.artefact import EXTRA_FILE, Metadata, dumps
from runtime.c.model import CompiledModel
from runtime.c.reading import about
from runtime.session import ONNXRUNTIME
from trainer.checkpoint import Checkpoint

from ..arithmetic.fold import check_pixels
from ..arithmetic.quantise import Quantised
from ..c.identifiers import identifier
from ..c.source import readme, sources
from ..gate.parity import Answer
from . import onnx_int8
from .compatibility import Target

__all__ = ["in_8_bits", "open_artefact", "prepare", "write"]


def prepare(checkpoint: Checkpoint) -> Quantised:
    """Fold and quantise, as for onnx-int8. Raises ExportError for a model on features."""
    check_pixels(checkpoint, "C")
    return onnx_int8.quantised(checkpoint)


def write(numbers: Quantised, metadata: Metadata, target: Target) -> dict[str, bytes]:
    """Write NAME.c, NAME.h, README.md and kit.json."""
    name = target.name or identifier(str(metadata.provenance.get("data", {}).get("name", "")))
    document = dumps(metadata.to_json() | about(name, target.frame))
    return {
        **sources(name, numbers, metadata, target.frame),
        "README.md": readme(name, numbers, metadata),
        EXTRA_FILE: document.encode(),
    }


def in_8_bits(numbers: Quantised, metadata: Metadata) -> Answer:
    """What onnx-int8 answers with the same numbers."""
    return load(onnx_int8.write(numbers, metadata, Target()), backend=ONNXRUNTIME).probabilities


def open_artefact(path: Path) -> CompiledModel:
    """Compile the model for this machine. Raises ToolchainError."""
    return CompiledModel(path)

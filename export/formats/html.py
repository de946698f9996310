"""A page that classifies images: one file with everything inside, which asks for nothing else."""

from runtime.artefact import Metadata

from ..arithmetic.quantise import Quantised
from ..web.source import page
from . import onnx_int8
from .compatibility import Target
from .js import in_8_bits, open_artefact, prepare

__all__ = ["in_8_bits", "open_artefact", "prepare", "write"]


def write(numbers: Quantised, metadata: Metadata, target: Target) -> bytes:
    """Write the page; equal arguments give equal bytes."""
    return page(onnx_int8.write(numbers, metadata, target))

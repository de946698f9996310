"""The formats: one module each, and the table that lists them.

A format's module has `prepare(checkpoint)`, the numbers that the artefact will compute with; `write(numbers, metadata,
target)`, the file's bytes; and `open_artefact(path)`, the file opened again.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from runtime.errors import needs_extra

FLOAT_TOLERANCE = 1e-5


@dataclass(frozen=True, kw_only=True)
class Format:
    """How a format is made, and how close to the trained model it has to be.

    extra: what to install for it. runs_on: "onnxruntime" or "torch". tolerance: largest difference in probability that
    passes. agreement: least share of equal labels, on the golden and training images; where it is 1, no label may
    differ on any image.
    """

    module: str
    suffix: str
    extra: str
    runs_on: str
    purpose: str
    tolerance: float = FLOAT_TOLERANCE
    agreement: float = 1.0

    def load(self) -> Any:
        """Import the format's module. Raises MissingExtraError."""
        with needs_extra(self.extra, f"exporting to {self.suffix}"):
            return import_module(f"{__name__}.{self.module}")


FORMATS = {
    "onnx": Format(
        module="onnx", suffix=".onnx", extra="export", runs_on="onnxruntime", purpose="float32, any onnxruntime"
    ),
    "onnx-int8": Format(
        module="onnx_int8",
        suffix=".int8.onnx",
        extra="export",
        runs_on="onnxruntime",
        purpose="a quarter of the size, exact integer sums",
        tolerance=0.05,
        agreement=0.99,
    ),
    "ort": Format(
        module="ort", suffix=".ort", extra="export", runs_on="onnxruntime", purpose="onnxruntime's reduced builds"
    ),
    "torchscript": Format(
        module="torchscript", suffix=".pt", extra="train", runs_on="torch", purpose="torch 2 and LibTorch"
    ),
    "pt2": Format(
        module="pt2", suffix=".pt2", extra="train", runs_on="torch", purpose="torch.export's successor to it"
    ),
}

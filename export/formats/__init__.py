"""The formats, one module and one row of `FORMATS` each: a checkpoint comes in, a file's bytes go out.

A format's module has `prepare(checkpoint)`, which returns the numbers that the artefact computes with;
`write(numbers, metadata, target)`, which returns the file's bytes, or those of each file of a folder; and
`open_artefact(path)`, which opens what was written again. Imported by `exporting`, `modules` and `cli`. The formats
import `arithmetic`, `c` and the gate.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from runtime.errors import needs_extra

FLOAT_TOLERANCE = 1e-5
COMPILER, LITERT, NODE = "a C compiler", "LiteRT", "Node"


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format, and how close to the trained model its files have to be.

    module: the module's name in this package.
    suffix: of the file's name.
    extra: the extra to install for it.
    runs_on: "onnxruntime", "torch", "LiteRT", "a C compiler" or "Node".
    purpose: for the help of `kit export`.
    tolerance: largest difference in probability allowed.
    agreement: smallest share of equal labels on the golden and training images, 0-1; at 1 no label may differ on any
        image.
    of_features: tolerance and agreement for a model on features; None for the same.
    is_folder: whether it is a folder of files.
    """

    module: str
    suffix: str
    extra: str
    runs_on: str
    purpose: str
    tolerance: float = FLOAT_TOLERANCE
    agreement: float = 1.0
    of_features: tuple[float, float] | None = None
    is_folder: bool = False

    def limits(self, features: bool) -> tuple[float, float]:
        """Return tolerance and agreement for a model on features, or on pixels."""
        return self.of_features if features and self.of_features else (self.tolerance, self.agreement)

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
        of_features=(0.3, 0.95),
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
    "litert": Format(
        module="litert", suffix=".tflite", extra="litert", runs_on=LITERT, purpose="LiteRT on Android and iOS, float32"
    ),
    "litert-int8": Format(
        module="litert_int8",
        suffix=".int8.tflite",
        extra="litert",
        runs_on=LITERT,
        purpose="the same with the numbers of onnx-int8",
        tolerance=0.05,
        agreement=0.99,
    ),
    "c": Format(
        module="c",
        suffix="_c",
        extra="export",
        runs_on=COMPILER,
        purpose="C99 for microcontrollers, a folder",
        tolerance=0.05,
        agreement=0.99,
        is_folder=True,
    ),
    "arduino": Format(
        module="arduino",
        suffix=".arduino.zip",
        extra="export",
        runs_on=COMPILER,
        purpose="the same as a library",
        tolerance=0.05,
        agreement=0.99,
    ),
    "js": Format(
        module="js",
        suffix="_js",
        extra="js",
        runs_on=NODE,
        purpose="an ES module for browsers and Node, a folder",
        tolerance=0.05,
        agreement=0.99,
        is_folder=True,
    ),
    "html": Format(
        module="html",
        suffix=".html",
        extra="js",
        runs_on=NODE,
        purpose="a page that classifies, one file",
        tolerance=0.05,
        agreement=0.99,
    ),
}

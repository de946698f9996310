"""A model in C, compiled, against the file in 8 bits that has the same numbers."""

from collections.abc import Mapping, Sequence

import numpy as np

from runtime.artefact import Metadata
from runtime.c.footprint import Footprint, beyond, footprints
from runtime.c.model import CompiledModel
from runtime.c.reading import Source
from runtime.c.targets import EMULATED
from runtime.image import Pixels

from ..errors import BudgetError, ExportError, ParityError
from .parity import Answer, Gate, answers, compare, probes

FLOAT, INTEGER = 1e-6, 2e-5  # largest differences from onnx-int8's probabilities
FRAMES = 4
FILE = "onnx-int8's"
ADVICE = "report it with the checkpoint and the version of the compiler"


def check_compiled(model: CompiledModel, metadata: Metadata, sample: Pixels, in_8_bits: Answer) -> None:
    """Compare with onnx-int8 on all probes, with and without floating point; run the self-test and camera frames.

    sample: training images, uint8 [S, H, W, C].
    in_8_bits: what onnx-int8 answers.
    Raises ParityError.
    """
    on = probes(metadata.image, metadata.golden.images, sample)
    expected = answers(in_8_bits, on.images)
    thresholds = metadata.decision.thresholds if metadata.decision else ()
    for program, tolerance in ((model, FLOAT), (model.in_integers(), INTEGER)):
        gate = Gate(tolerance=tolerance, advice=ADVICE, thresholds=thresholds)
        compare(answers(program.probabilities, on.images), expected, on.names, metadata.labels, gate, FILE)
        _expect(program.selftest() == 0, "golden examples that agree", "others")
    if model.source.frame:
        _check_frames(model, metadata, *model.source.frame)


def _check_frames(model: CompiledModel, metadata: Metadata, width: int, height: int) -> None:
    """Compare random frames of each layout with the same images, converted as the runtime does."""
    shape = (FRAMES, -(-height // 8), -(-width // 8), 3)
    coarse = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    frames = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
    for layout, found, seen in model.of_frames(frames):
        converted = np.stack([metadata.image.pixels(frame) for frame in seen])
        same = np.array_equal(found, model.probabilities(converted))
        _expect(same, f"{layout} frames to be fitted as the runtime does", "others")


def _expect(holds: bool, what: str, found: str) -> None:
    if not holds:
        raise ParityError(f"expected {what}, found {found}: {ADVICE}; the file was not kept")


def measure(source: Source, targets: Sequence[str] | None, budget: Mapping[str, float]) -> dict[str, Footprint]:
    """Measure a model on targets, or on all whose tools are installed.

    Raises ExportError where it is beyond its budget, and ToolchainError.
    """
    found = footprints(source, source.metadata.golden.images, targets)
    if budget and not found:
        raise ExportError(
            f"expected the tools of a target that the model fits, to compare it with its budget, found none: install "
            f"those of one of {', '.join(EMULATED)}; the file was not kept"
        )
    if errors := list(beyond(budget, found)):
        raise BudgetError(
            f"{errors[0]}: raise --budget, or train on smaller images or fewer classes; the file was not kept"
        )
    return found

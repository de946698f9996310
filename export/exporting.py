"""A checkpoint becomes an artefact: written beside its name, opened again, compared, and only then renamed."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from runtime.artefact import Golden, Metadata, PixelStatistics
from runtime.errors import needs_extra
from trainer.checkpoint import Checkpoint
from trainer.files import replacing

from .errors import ExportError
from .parity import TOLERANCE, Artefact, Parity, check_parity


@dataclass(frozen=True, kw_only=True)
class Format:
    """How a format is made. module: has `write` and `open_artefact`. extra: what to install for it."""

    module: str
    suffix: str
    extra: str
    purpose: str

    def tools(self) -> tuple[Callable[[Checkpoint, Metadata], bytes], Callable[[Path], Artefact]]:
        """Import the functions that write and open this format."""
        with needs_extra(self.extra, f"exporting to {self.suffix}"):
            module = import_module(self.module)
        return module.write, module.open_artefact


FORMATS = {
    "onnx": Format(module="export.to_onnx", suffix=".onnx", extra="export", purpose="onnxruntime 1.15 or newer"),
    "torchscript": Format(module="export.to_torchscript", suffix=".pt", extra="train", purpose="torch and LibTorch"),
}


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What was written and how it compared. size: bytes. digest: of the file. tolerance: largest difference allowed."""

    format: str
    path: Path
    size: int
    digest: str
    parity: Parity
    tolerance: float


def export(
    checkpoint: Checkpoint,
    format: str,  # noqa: A002 - the word that users know
    path: str | os.PathLike[str],
    *,
    tolerance: float = TOLERANCE,
) -> ExportReport:
    """Write `checkpoint` to `path` in a format of `FORMATS`, if the written file answers as the trained model does.

    tolerance: the largest difference in probability, above 0 and below 1. Raises ParityError, and leaves `path` as it
    was, where a probability differs by more or a label differs; ExportError for an unknown format.
    """
    if format not in FORMATS:
        raise ExportError(f"expected a format out of {', '.join(FORMATS)}, found {format!r}")
    if not 0 < tolerance < 1:
        raise ExportError(f"expected a tolerance above 0 and below 1, found {tolerance!r}")
    write, open_artefact = FORMATS[format].tools()
    metadata = describe(checkpoint, tolerance)
    data = write(checkpoint, metadata)
    path = Path(path)
    with replacing(path) as part:
        part.write_bytes(data)
        parity = check_parity(open_artefact(part), metadata, checkpoint, tolerance)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return ExportReport(format=format, path=path, size=len(data), digest=digest, parity=parity, tolerance=tolerance)


def describe(checkpoint: Checkpoint, tolerance: float) -> Metadata:
    """Collect what an artefact of this checkpoint carries beside its graph."""
    return Metadata(
        labels=checkpoint.labels,
        image=checkpoint.image,
        pixel_statistics=PixelStatistics(mean=tuple(checkpoint.mean.tolist()), std=tuple(checkpoint.std.tolist())),
        golden=Golden(
            images=checkpoint.golden_images, probabilities=checkpoint.golden_probabilities, tolerance=tolerance
        ),
        provenance={**checkpoint.provenance, "checkpoint": checkpoint.digest()},
    )

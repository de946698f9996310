"""Export: a file is written under a temporary name, opened again, compared with the model, and only then renamed."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from runtime.artefact import PLAIN_VERSION, Metadata
from runtime.digest import digest
from runtime.files import check_target, replacing
from runtime.golden import PNG_ROWS, Golden
from runtime.image import Pixels
from trainer.checkpoint import Checkpoint

from .appearance import pixel_statistics
from .arithmetic.bound import Proof, prove
from .arithmetic.fold import fold
from .errors import ExportError
from .formats import FORMATS
from .formats.target import target_for
from .gate.parity import Artefact, Gate, Parity, arithmetic_probabilities, check_parity, probes, reference_probabilities
from .gate.verification import LabelledImages, Verification, verify

LARGE = 64 * 2**10  # bytes of golden images that are worth compressing


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """The written file, and how it compared with the trained model.

    size: bytes.
    digest: the file's, sha256.
    parity: on golden, training, black, white and random images.
    tolerance: largest difference in probability allowed.
    proof: bounds that hold for all images; None where the model is not the kit's own.
    verification: on the images of `verify_on`; None without them.
    """

    format: str
    path: Path
    size: int
    digest: str
    parity: Parity
    tolerance: float
    proof: Proof | None = None
    verification: Verification | None = None


def export(
    checkpoint: Checkpoint,
    format: str,  # noqa: A002 - the word that users know
    path: str | os.PathLike[str],
    *,
    tolerance: float | None = None,
    opset: int | None = None,
    target_ort: str | None = None,
    verify_on: LabelledImages | None = None,
) -> ExportReport:
    """Write `checkpoint` to `path`, if the written file predicts what the trained model predicts.

    Raises ExportError for what cannot be exported, and ParityError where probabilities or labels differ by more than
    the format allows; `path` then stays as it was.

    format: a key of `FORMATS`.
    tolerance: largest difference in probability, above 0 and below 1; by default the format's.
    opset: ONNX opset version, by default 13, which every onnxruntime since 1.15 loads.
    target_ort: oldest onnxruntime that has to load the file, such as "1.15".
    verify_on: more images to compare on.
    """
    if format not in FORMATS:
        raise ExportError(f"expected a format out of {', '.join(FORMATS)}, found {format!r}")
    kind, file = FORMATS[format], output_path(path, format)
    gate = gate_for(kind.tolerance if tolerance is None else tolerance, kind.agreement)
    target = target_for(format, opset, target_ort)
    module = kind.load()
    numbers = module.prepare(checkpoint)
    arithmetic = numbers.arithmetic()
    proved = partial(prove, *fold(checkpoint), arithmetic)
    proof = proved(np.concatenate([checkpoint.golden_images, checkpoint.sample_images]))
    metadata = describe(checkpoint, gate.tolerance, proof, numbers.centre)
    trained = partial(reference_probabilities, checkpoint)
    data = module.write(numbers, metadata, target)
    with written(file, data, module.open_artefact) as artefact:
        parity = check_parity(
            artefact,
            metadata,
            probes(checkpoint.image, checkpoint.golden_images, checkpoint.sample_images),
            trained,
            gate,
            partial(arithmetic_probabilities, arithmetic),
        )
        verification = verify(artefact, verify_on, trained, gate, proved) if verify_on else None
    return report(format, file, data, parity=parity, tolerance=gate.tolerance, proof=proof, verification=verification)


def output_path(
    path: str | os.PathLike[str],
    format: str,  # noqa: A002 - as above
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> Path:
    """Return where to write an artefact.

    inputs: what is read, and must not be replaced.
    Raises ExportError where no file may be written, and for a file name that ends as those of another format do.
    """
    path = Path(path)
    suffixes = [kind.suffix for kind in FORMATS.values() if path.name.lower().endswith(kind.suffix)]
    ending = max(suffixes, key=len, default="")
    if not FORMATS[format].suffix.endswith(ending):
        raise ExportError(
            f"{path}: expected a file name for {format}, found that it ends in {ending}: "
            f"end it in {FORMATS[format].suffix}, or choose another --format"
        )
    check_target(path, ExportError, inputs)
    return path


@contextmanager
def written(path: Path, data: bytes, open_artefact: Callable[[Path], Artefact]) -> Iterator[Artefact]:
    """Open `data` under a temporary name; at the end of the block it is renamed to `path`."""
    with replacing(path, ExportError) as part:
        part.write_bytes(data)
        yield open_artefact(part)


def gate_for(tolerance: float, agreement: float = 1.0) -> Gate:
    """Make a gate. Raises ExportError for a tolerance that is not above 0 and below 1."""
    if not 0 < tolerance < 1:
        raise ExportError(f"expected a tolerance above 0 and below 1, found {tolerance!r}")
    return Gate(tolerance=tolerance, agreement=agreement)


def report(format: str, path: Path, data: bytes, **found: Any) -> ExportReport:  # noqa: A002 - as above
    """Report on `data`, as written to `path`."""
    return ExportReport(format=format, path=path, size=len(data), digest=digest(data), **found)


def describe(checkpoint: Checkpoint, tolerance: float, proof: Proof, centre: Pixels | None = None) -> Metadata:
    """Collect what an artefact of this checkpoint carries beside its graph, which subtracts `centre`."""
    provenance: Mapping[str, Any] = {
        **checkpoint.provenance,
        "checkpoint": checkpoint.digest(),
        "proof": asdict(proof),
    }
    images, probabilities = checkpoint.golden_images, checkpoint.golden_probabilities
    if checkpoint.decision:  # it changes the probabilities, and came after them
        probabilities = reference_probabilities(checkpoint, images).astype(np.float32)
    metadata = Metadata(
        labels=checkpoint.labels,
        image=checkpoint.image,
        pixel_statistics=pixel_statistics(checkpoint.mean, checkpoint.std, checkpoint.sample_images),
        golden=Golden(images=images, probabilities=probabilities, tolerance=tolerance),
        provenance=provenance,
        centre=centre,
        decision=checkpoint.decision,
    )
    if metadata.version == PLAIN_VERSION or images.nbytes <= LARGE:
        return metadata
    return metadata._replace(golden=metadata.golden._replace(encoding=PNG_ROWS))

"""Export: a file is written under a temporary name, opened again, compared with the model, and only then renamed."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from runtime.decision import Threshold
from runtime.digest import digest
from runtime.files import check_target, replacing
from runtime.image import Pixels
from runtime.session import ONNXRUNTIME
from trainer.checkpoint import Checkpoint

from .arithmetic.bound import Proof, prove
from .arithmetic.fold import Numbers, fold
from .arithmetic.head import Head, decider_of
from .arithmetic.quantise import Quantised
from .description import describe
from .errors import ExportError
from .features.running import features_of
from .formats import FORMATS
from .formats.target import target_for
from .gate.features import check_features
from .gate.parity import Artefact, Gate, Parity, arithmetic_probabilities, check_parity, probes, reference_probabilities
from .gate.verification import LabelledImages, Verification, verify


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
    usual, agreement = kind.limits(checkpoint.features is not None)
    thresholds = checkpoint.decision.thresholds if checkpoint.decision else ()
    gate = gate_for(usual if tolerance is None else tolerance, agreement, thresholds)
    module = kind.load()
    target = target_for(format, opset, target_ort, checkpoint.features)
    numbers = module.prepare(checkpoint)
    proved = prover(checkpoint, numbers)
    proof = proved(np.concatenate([checkpoint.golden_images, checkpoint.sample_images]))
    metadata = describe(checkpoint, gate.tolerance, proof, numbers, familiar=kind.runs_on == ONNXRUNTIME)
    trained = partial(reference_probabilities, checkpoint)
    more = {"familiarity": checkpoint.familiarity} if metadata.has_familiarity else {}
    data = module.write(numbers, metadata, target, **more)
    with written(file, data, module.open_artefact) as artefact:
        if isinstance(numbers, Head):
            parity = check_features(artefact, metadata, checkpoint, numbers, gate)
        else:
            images = probes(checkpoint.image, checkpoint.golden_images, checkpoint.sample_images)
            own = partial(arithmetic_probabilities, numbers.arithmetic())
            parity = check_parity(artefact, metadata, images, trained, gate, own)
        if metadata.has_familiarity:
            from .gate.familiarity import check_familiarity  # here, since it imports onnx

            check_familiarity(data, checkpoint, gate)
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


def gate_for(tolerance: float, agreement: float = 1.0, thresholds: tuple[Threshold, ...] = ()) -> Gate:
    """Make a gate. Raises ExportError for a tolerance that is not above 0 and below 1."""
    if not 0 < tolerance < 1:
        raise ExportError(f"expected a tolerance above 0 and below 1, found {tolerance!r}")
    return Gate(tolerance=tolerance, agreement=agreement, thresholds=thresholds)


def report(format: str, path: Path, data: bytes, **found: Any) -> ExportReport:  # noqa: A002 - as above
    """Report on `data`, as written to `path`."""
    return ExportReport(format=format, path=path, size=len(data), digest=digest(data), **found)


def prover(checkpoint: Checkpoint, numbers: Numbers | Quantised) -> Callable[[Pixels], Proof]:
    """Return what proves, given images, how far an artefact with these numbers can be from the trained model."""
    if isinstance(numbers, Head):
        return lambda images: numbers.prove(checkpoint, features_of(numbers.features, images))
    return partial(prove, *fold(checkpoint), numbers.arithmetic(), decide=decider_of(checkpoint))

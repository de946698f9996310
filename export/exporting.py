"""Export: a file is written under a temporary name, opened again, compared with the model, and only then renamed."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from runtime import Classifier, load
from runtime.artefact import Metadata
from runtime.backend import NUMPY
from runtime.c.footprint import Footprint
from runtime.c.model import CompiledModel
from runtime.c.reading import files_in as files_in_c
from runtime.decision import Threshold
from runtime.digest import digest
from runtime.files import check_folder, check_target, replacing, replacing_folder
from runtime.image import Pixels
from runtime.seal import format_of
from runtime.session import ONNXRUNTIME
from runtime.web.model import WebModel
from runtime.web.reading import files_in as files_in_js
from trainer.checkpoint import Checkpoint

from .arithmetic.bound import Proof, prove
from .arithmetic.fold import Numbers, fold
from .arithmetic.head import Head, decider_of
from .arithmetic.quantise import Quantised
from .description import describe
from .errors import ExportError
from .features.running import features_of
from .formats import COMPILER, FORMATS, Format
from .formats.target import target_for
from .gate.compiled import check_compiled, measure
from .gate.features import check_features
from .gate.parity import Artefact, Gate, Parity, arithmetic_probabilities, check_parity, probes, reference_probabilities
from .gate.verification import LabelledImages, Verification, verify
from .gate.web import check_web

Content: TypeAlias = "bytes | Mapping[str, bytes]"  # of a file, or of each file of a folder
IN_8_BITS: dict[type[Any], Callable[..., None]] = {CompiledModel: check_compiled, WebModel: check_web}


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """The written file, and how it compared with the trained model.

    size: bytes.
    digest: the file's, sha256.
    parity: on golden, training, black, white and random images.
    tolerance: largest difference in probability allowed.
    proof: bounds that hold for all images; None where the model is not the kit's own.
    verification: on the images of `verify_on`; None without them.
    footprints: of a model in C, what it takes by target.
    """

    format: str
    path: Path
    size: int
    digest: str
    parity: Parity
    tolerance: float
    proof: Proof | None = None
    verification: Verification | None = None
    footprints: Mapping[str, Footprint] = field(default_factory=dict)


def export(
    checkpoint: Checkpoint,
    format: str,  # noqa: A002 - the word that users know
    path: str | os.PathLike[str],
    *,
    tolerance: float | None = None,
    opset: int | None = None,
    target_ort: str | None = None,
    name: str | None = None,
    frame: Sequence[int] | None = None,
    targets: Sequence[str] | None = (),
    budget: Mapping[str, float] | None = None,
    verify_on: LabelledImages | None = None,
) -> ExportReport:
    """Write `checkpoint` to `path`, if the written file predicts what the trained model predicts.

    Raises ExportError for what cannot be exported, and ParityError where probabilities or labels differ by more than
    the format allows; `path` then stays as it was. Raises ToolchainError where a compiler or Node is missing.

    format: a key of `FORMATS`.
    tolerance: largest difference in probability, above 0 and below 1; by default the format's.
    opset: ONNX opset version, by default 13, which every onnxruntime since 1.15 loads.
    target_ort: oldest onnxruntime that has to load the file, such as "1.15".
    name: of a model in C, the prefix of its symbols; by default made of the data's name.
    frame: of a model in C, width and height of a camera's frames that it takes too.
    targets: of a model in C, what to measure it on, such as "cortex-m4f"; None for all whose tools are installed.
    budget: of a model in C, the most bytes of "flash", "ram" and "stack", and "instructions" an image, on each target.
    verify_on: more images to compare on.
    """
    if format not in FORMATS:
        raise ExportError(f"expected a format out of {', '.join(FORMATS)}, found {format!r}")
    kind, file = FORMATS[format], output_path(path, format)
    gate, module = _gate_of(kind, checkpoint, tolerance), kind.load()
    target = target_for(format, opset, target_ort, checkpoint.features, name=name, frame=frame)
    numbers = module.prepare(checkpoint)
    proved = prover(checkpoint, numbers)
    proof = proved(np.concatenate([checkpoint.golden_images, checkpoint.sample_images]))
    metadata = describe(checkpoint, gate.tolerance, proof, numbers, familiar=kind.runs_on == ONNXRUNTIME)
    trained = partial(reference_probabilities, checkpoint)
    more = {"familiarity": checkpoint.familiarity} if metadata.has_familiarity else {}
    data = module.write(numbers, metadata, target, **more)
    with written(file, data, module.open_artefact, kind) as artefact:
        parity = _compared(artefact, data, metadata, checkpoint, numbers, gate)
        if check := IN_8_BITS.get(type(artefact)):
            check(artefact, metadata, checkpoint.sample_images, module.in_8_bits(numbers, metadata))
        measured = measure(artefact.source, targets, budget or {}) if isinstance(artefact, CompiledModel) else {}
        verification = verify(artefact, verify_on, trained, gate, proved) if verify_on else None
    found = {"parity": parity, "proof": proof, "verification": verification, "footprints": measured}
    return report(format, file, data, tolerance=gate.tolerance, **found)


def _compared(
    artefact: Artefact, data: Any, metadata: Metadata, checkpoint: Checkpoint, numbers: Any, gate: Gate
) -> Parity:
    """Compare an opened artefact with the trained model. Raises ParityError.

    data: its content.
    numbers: what its format's module prepared.
    """
    if isinstance(numbers, Head):
        parity = check_features(artefact, metadata, checkpoint, numbers, gate)
    else:
        trained = partial(reference_probabilities, checkpoint)
        images = probes(checkpoint.image, checkpoint.golden_images, checkpoint.sample_images)
        own = partial(arithmetic_probabilities, numbers.arithmetic())
        parity = check_parity(artefact, metadata, images, trained, gate, own)
        if isinstance(artefact, Classifier) and format_of(data).startswith("onnx"):
            check_parity(load(data, backend=NUMPY), metadata, images, trained, gate, own)
    if metadata.has_familiarity:
        from .gate.familiarity import check_familiarity  # here, since it imports onnx

        check_familiarity(data, checkpoint, gate)
    return parity


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
    kind = FORMATS[format]
    suffixes = [other.suffix for other in FORMATS.values() if path.name.lower().endswith(other.suffix)]
    ending = max(suffixes, key=len, default="")
    if ending.startswith(".") and not kind.suffix.endswith(ending):
        raise ExportError(
            f"{path}: expected a file name for {format}, found that it ends in {ending}: "
            f"end it in {kind.suffix}, or choose another --format"
        )
    if kind.is_folder:
        check_folder(path, files_in(path, kind), ExportError, inputs)
    else:
        check_target(path, ExportError, inputs)
    return path


def files_in(path: Path, kind: Format | None) -> list[str]:
    """Names of the files that an earlier export of a format has written to a folder; none where there is none."""
    return files_in_c(path) if kind and kind.runs_on == COMPILER else files_in_js(path)


@contextmanager
def written(
    path: Path, data: Content, open_artefact: Callable[[Path], Artefact], kind: Format | None = None
) -> Iterator[Artefact]:
    """Open `data` under a temporary name; at the end of the block it is renamed to `path`.

    kind: of a folder, what format it is of.
    """
    if isinstance(data, bytes):
        with replacing(path, ExportError) as part:
            part.write_bytes(data)
            yield open_artefact(part)
    else:
        with replacing_folder(path, files_in(path, kind), ExportError) as part:
            for name, content in data.items():
                (part / name).write_bytes(content)
            yield open_artefact(part)


def _gate_of(kind: Format, checkpoint: Checkpoint, tolerance: float | None) -> Gate:
    usual, agreement = kind.limits(checkpoint.features is not None)
    thresholds = checkpoint.decision.thresholds if checkpoint.decision else ()
    return gate_for(usual if tolerance is None else tolerance, agreement, thresholds)


def gate_for(tolerance: float, agreement: float = 1.0, thresholds: tuple[Threshold, ...] = ()) -> Gate:
    """Make a gate. Raises ExportError for a tolerance that is not above 0 and below 1."""
    if not 0 < tolerance < 1:
        raise ExportError(f"expected a tolerance above 0 and below 1, found {tolerance!r}")
    return Gate(tolerance=tolerance, agreement=agreement, thresholds=thresholds)


def report(format: str, path: Path, data: Content, **found: Any) -> ExportReport:  # noqa: A002 - as above
    """Report on `data`, as written to `path`; the digest of a folder is that of the names and contents of its files."""
    if isinstance(data, bytes):
        size, content = len(data), data
    else:
        size = sum(map(len, data.values()))
        content = b"".join(name.encode() + part for name, part in data.items())
    return ExportReport(format=format, path=path, size=size, digest=digest(content), **found)


def prover(checkpoint: Checkpoint, numbers: Numbers | Quantised) -> Callable[[Pixels], Proof]:
    """Return what proves, given images, how far an artefact with these numbers can be from the trained model."""
    if isinstance(numbers, Head):
        return lambda images: numbers.prove(checkpoint, features_of(numbers.features, images))
    return partial(prove, *fold(checkpoint), numbers.arithmetic(), decide=decider_of(checkpoint))

"""`kit export`."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from runtime.c.targets import EMULATED
from runtime.commands import footprints
from runtime.commands.footprints import TITLES, read_budget, read_frame
from runtime.errors import ArtefactError, MissingExtraError, SelfTestError, ToolchainError
from runtime.session import ONNXRUNTIME
from runtime.tables import table
from runtime.text import as_json, complain, printable, say
from trainer.checkpoint import Checkpoint, checkpoint_path, load_checkpoint

from .arithmetic.bound import OF_FEATURES
from .errors import BudgetError, ExportError, ParityError
from .exporting import ExportReport, files_in, output_path
from .exporting import export as export_checkpoint
from .formats import COMPILER, FORMATS, Format
from .gate.verification import Verification, load_images

ALL = "all"


def reading(read: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """Make a callback of an option whose text is read; None where it is not given. Its error is a wrong call's."""

    def callback(_context: click.Context, _option: click.Parameter, text: str | None) -> Any:
        try:
            return None if text is None else read(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return callback


@click.command()
@click.argument("checkpoint_or_run", type=click.Path(path_type=Path), required=False)
@click.option("--format", "formats", type=click.Choice([*FORMATS, ALL]), multiple=True, default=["onnx"],
              show_default="onnx", help=f"{'; '.join(f'{name}: {item.purpose}' for name, item in FORMATS.items())}; "
              f"{ALL}: each whose tools are installed. May be given again.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path),
              help="File or folder to write to.  [default: beside the checkpoint]")  # fmt: skip
@click.option("--opset", type=int, help="ONNX opset version.  [default: 13]")
@click.option("--target-ort", metavar="VERSION", help="Oldest onnxruntime that has to load the file, such as 1.15.")
@click.option("--tolerance", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              help="Largest difference in probability allowed; of float formats, a label differs only above twice it.  "
              "[default: "
              + ", ".join(f"{item.tolerance:g} for {name}" for name, item in FORMATS.items()) + "]")  # fmt: skip
@click.option("--name", help="Of a model in C: prefix of its symbols.  [default: made of the data's name]")
@click.option(
    "--frame",
    callback=reading(read_frame),
    metavar="WIDTHxHEIGHT",
    help="Of a model in C: size of a camera's frames that it takes too, such as 320x240.",
)
@click.option(
    "--target",
    "targets",
    type=click.Choice(EMULATED),
    multiple=True,
    help="Of a model in C: what to measure it on. May be given again.  [default: those whose tools are installed]",
)
@click.option(
    "--budget",
    callback=reading(read_budget),
    default="",
    metavar="NAME=NUMBER,...",
    help="Of a model in C: refuse one that takes more on a target, such as "
    f"flash=16k,ram=1k. Names: {', '.join(TITLES)}.",
)
@click.option("--verify-on", metavar="DATA",
              help="Compare on the test images of a data set too, named as for kit train --data.")  # fmt: skip
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), envvar="KIT_DATA_DIR",
              help="Folder of torchvision's data sets.")  # fmt: skip
@click.option("--json", "as_document", is_flag=True, help="Print the reports as JSON.")
def export(
    checkpoint_or_run: Path | None,
    formats: tuple[str, ...],
    output: Path | None,
    opset: int | None,
    target_ort: str | None,
    tolerance: float | None,
    name: str | None,
    frame: tuple[int, int] | None,
    targets: tuple[str, ...],
    budget: dict[str, float],
    verify_on: str | None,
    data_dir: Path | None,
    as_document: bool,
) -> None:
    """Export CHECKPOINT_OR_RUN, by default the newest run under runs/.

    Each file is written under a temporary name, opened again, and compared with the trained model. It is renamed only
    if every probability is within the tolerance and the labels are the same (onnx-int8: 99 % of them, and 95 % with a
    tolerance of 0.3 on features). A model in C is compiled, compared with onnx-int8 too, and measured on emulated
    processors; one for browsers is run by Node, and compared likewise.
    """
    every = ALL in formats
    formats = tuple(FORMATS if every else dict.fromkeys(formats))
    if output and len(formats) > 1 and not os.path.isdir(output):  # noqa: PTH112 - as below
        raise click.UsageError(f"with several formats --output is a folder that exists, found {output}")
    in_c: dict[str, Any] = {"name": name, "frame": frame, "budget": budget, "targets": targets or None}
    if any(in_c.values()) and not any(FORMATS[kind].runs_on == COMPILER for kind in formats):
        raise click.UsageError("expected --name, --frame, --target and --budget with --format c or arduino alone")
    source = checkpoint_path(checkpoint_or_run, "exporting")
    inputs = [str(source), *([verify_on] if verify_on else [])]
    paths = {kind: output_path(_target(source, output, FORMATS[kind]), kind, inputs) for kind in formats}
    checkpoint = load_checkpoint(source)
    data = load_images(checkpoint, verify_on, data_dir) if verify_on else None
    versions = {"opset": opset, "target_ort": target_ort}
    refused: list[str] = []
    settings: dict[str, Any] = {"tolerance": tolerance, "verify_on": data}
    reports = list(_each(checkpoint, paths, versions, in_c, refused if every else None, **settings))
    if reports:
        say(_as_json(reports) if as_document else _as_text(reports))
    if refused or not reports:
        sys.exit(1)


def _each(
    checkpoint: Checkpoint, paths: Mapping[str, Path], versions: dict[str, Any], in_c: dict[str, Any],
    refused: list[str] | None, **settings: Any,
) -> Iterator[ExportReport]:  # fmt: skip
    """Export to each path.

    versions, in_c: settings of formats for onnxruntime, and for compilers.
    refused: None to end at the first format that cannot be written. Else each is named and left out, as one whose tools
        are missing or that does not take this model; those that the gate or the budget refused are added to it.
    """
    every = refused is not None
    for name, path in paths.items():
        runs_on = FORMATS[name].runs_on
        more = in_c if runs_on == COMPILER else {} if every and runs_on != ONNXRUNTIME else versions
        try:
            report = export_checkpoint(checkpoint, name, path, **settings, **more)
        except (ExportError, MissingExtraError, ToolchainError, SelfTestError, ArtefactError) as error:
            if refused is None:
                raise
            complain(f"not exported to {name}: {error}")
            if isinstance(error, (ParityError, BudgetError, SelfTestError, ArtefactError)):
                refused.append(name)
        else:
            yield report


def _target(source: Path, output: Path | None, kind: Format) -> Path:
    """Return the file to write: beside the checkpoint, in a folder, or as named; a folder of files likewise."""
    beside = source.with_name(source.stem + kind.suffix)
    if output is None:
        return beside
    if kind.is_folder and files_in(output, kind):
        return output
    return output / beside.name if os.path.isdir(output) else output  # noqa: PTH112 - as below


def _as_json(reports: list[ExportReport]) -> str:
    return as_json([asdict(report) | {"path": str(report.path)} for report in reports])


def _as_text(reports: list[ExportReport]) -> str:
    head = ("format", "file", "bytes", "images compared", "largest difference", "labels that differ", "certain",
            "largest logit error")  # fmt: skip
    rows = [head] + [
        (
            report.format,
            printable(report.path),
            f"{report.size:,}",
            f"{report.parity.images:,}",
            f"{report.parity.max_difference:.1e}",
            str(report.parity.label_flips),
            f"{report.proof.certain:.2%} of {report.proof.images:,}" if report.proof else "",
            f"{report.proof.logit_error:.1e}" if report.proof and report.proof.logit_error is not None else "",
        )
        for report in reports
    ]
    lines = table(rows)
    for report in reports:
        if report.footprints:
            lines += [report.format, *footprints.table(report.footprints)]
    lines += [_decided(report) for report in reports if report.proof and report.proof.decided is not None]
    given = [report.format for report in reports if report.proof and report.proof.given == OF_FEATURES]
    if given:
        lines.append(f"certain, and the largest logit error, of {', '.join(given)}: given the features")
    lines += [_approximated(report) for report in reports if report.format in given and _is_approximation(report)]
    return "\n".join(
        lines
        + [
            _verified(report.format, report.verification, " given the features" * (report.format in given))
            for report in reports
            if report.verification
        ]
    )


def _decided(report: ExportReport) -> str:
    """Say what is known of the answers that are accepted."""
    found, proof = report.parity, report.proof
    share = 0.0 if proof is None or proof.decided is None else proof.decided
    images = proof.images if proof else 0
    return (
        f"{report.format} accepts the answers that the trained model does: {found.decision_flips} of "
        f"{found.images:,} differ, {share:.2%} of {images:,} certain not to"
    )


def _is_approximation(report: ExportReport) -> bool:
    return FORMATS[report.format].limits(features=True)[1] < 1


def _approximated(report: ExportReport) -> str:
    """Say what 8 bits cost a model on features; without the targets of the images there is a limit alone."""
    found = report.parity
    flips = found.label_flips / found.images
    return (
        f"{report.format} is an approximation: {1 - flips:.1%} of the labels of {found.images:,} real images are the "
        f"trained model's, so its accuracy is at most {100 * flips:.1f} points lower there; --verify-on measures it"
    )


def _verified(name: str, found: Verification, given: str) -> str:
    """Say how an artefact did on a data set. given: what "certain" is given, beside the pixels."""
    return (
        f"{name} on {found.images:,} images of {printable(found.data)}: accuracy {found.accuracy:.4f}, the trained "
        f"model's {found.trained_accuracy:.4f}; largest difference {found.max_difference:.1e}, {found.label_flips} "
        f"labels differ, {found.certain:.2%} certain not to{given}"
    ) + (
        ""
        if found.decided is None
        else f"; {found.decision_flips} decisions differ, {found.decided:.2%} certain not to{given}"
    )

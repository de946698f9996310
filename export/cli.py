"""`kit export`."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from trainer.checkpoint import FILE_NAME, RUNS, load_checkpoint

from .errors import ExportError
from .exporting import FORMATS, ExportReport
from .exporting import export as export_checkpoint
from .parity import TOLERANCE


@click.command()
@click.argument("checkpoint_or_run", type=click.Path(path_type=Path), required=False)
@click.option(
    "--format",
    "formats",
    type=click.Choice(list(FORMATS)),
    multiple=True,
    default=["onnx"],
    show_default="onnx",
    help=f"{'; '.join(f'{name} for {item.purpose}' for name, item in FORMATS.items())}. May be given again.",
)
@click.option(
    "--output", type=click.Path(path_type=Path), help="File to write, or a folder.  [default: beside the checkpoint]"
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=TOLERANCE,
    show_default=True,
    help="Largest difference in probability that passes.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON.")
def export(
    checkpoint_or_run: Path | None, formats: tuple[str, ...], output: Path | None, tolerance: float, as_json: bool
) -> None:
    """Export CHECKPOINT_OR_RUN, by default the newest run under runs/.

    Each file is written under a temporary name, opened again, compared with the trained model, and gets its name only
    if every probability is within the tolerance and no label differs.
    """
    formats = tuple(dict.fromkeys(formats))
    if output and len(formats) > 1 and not output.is_dir():
        raise click.UsageError(f"with several formats --output is a folder that exists, found {output}")
    source = _checkpoint_path(checkpoint_or_run)
    checkpoint = load_checkpoint(source)
    reports = []
    for name in formats:
        target = source.with_suffix(FORMATS[name].suffix) if output is None else output
        path = target / source.with_suffix(FORMATS[name].suffix).name if target.is_dir() else target
        reports.append(export_checkpoint(checkpoint, name, path, tolerance=tolerance))
    click.echo(_as_json(reports) if as_json else _as_table(reports))


def _checkpoint_path(given: Path | None) -> Path:
    if given is None:
        runs = sorted(RUNS.glob(f"*/{FILE_NAME}"), key=lambda path: path.stat().st_mtime_ns)
        if not runs:
            raise ExportError(f"expected a run under {RUNS}/, found none: `kit train` makes one, or name a checkpoint")
        click.echo(f"exporting {runs[-1]}", err=True)
        return runs[-1]
    return given / FILE_NAME if given.is_dir() else given


def _as_json(reports: list[ExportReport]) -> str:
    documents = [asdict(report) | {"path": str(report.path)} for report in reports]
    return json.dumps(documents, indent=2, ensure_ascii=False)


def _as_table(reports: list[ExportReport]) -> str:
    rows = [("format", "file", "bytes", "images compared", "largest difference", "labels that differ")] + [
        (
            report.format,
            str(report.path),
            f"{report.size:,}",
            str(report.parity.images),
            f"{report.parity.max_difference:.1e}",
            str(report.parity.label_flips),
        )
        for report in reports
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)

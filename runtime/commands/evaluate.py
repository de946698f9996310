"""`kit evaluate`: an artefact's metrics on a data set, the same as those of `kit train`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ..artefact import Metadata
from ..data.unreadable import MAX_UNREADABLE
from ..digest import digest
from ..evaluation import answer, figures
from ..loading import load
from ..tables import room, table
from ..text import as_json, complain, printable, say
from .options import ARTEFACT, CHECKPOINT, backend_option

COLUMNS = 20  # of a confusion matrix in text
DATA_DIR = "data"


@click.command()
@click.option("--model", type=ARTEFACT, required=True, help="The artefact, an .onnx or .ort file, or its run's folder.")
@click.option("--data", required=True, metavar="NAME|DIR|FILE", help="Data set, named as for kit train --data.")
@click.option("--data-dir", type=click.Path(path_type=Path), envvar="KIT_DATA_DIR", show_envvar=True,
              help="Folder of torchvision's data sets.  [default: data]")  # fmt: skip
@click.option("--all", "whole", is_flag=True, help="Evaluate on all images, not on the test images alone.")
@click.option("--column", metavar="NAME", help="Column with the images, or with their file names.")
@click.option("--label-column", metavar="NAME", help="Column with the labels.")
@click.option("--max-unreadable", type=click.FloatRange(0, 1), default=MAX_UNREADABLE, show_default=True,
              help="Share of the images that may be unreadable; they are left out.")  # fmt: skip
@backend_option
@click.option("--json", "as_document", is_flag=True, help="Print the figures as JSON.")
def evaluate(
    model: Path, data: str, data_dir: Path | None, whole: bool, backend: str, as_document: bool, **reading: Any
) -> None:
    """Evaluate an artefact on a test set: accuracy, loss, and the other metrics of kit train.

    A data set without test images is evaluated whole, unless the model was trained on it: then it is split as for the
    training, with its random seed. Needs neither torch nor scikit-learn; images in files need Pillow.

    --json has the confusion matrix; above 100 labels it has the cells that are not 0, as lists of the true and the
    predicted index, and of images.
    """
    classifier = load(model, backend=backend)
    folder = data_dir or Path(os.environ.get("KIT_DATA_DIR") or DATA_DIR)
    answers = answer(classifier, data, data_dir=folder, whole=whole, **reading)
    if is_older(model, classifier.metadata):
        complain(f"note: {model}: of another checkpoint than {model.with_name(CHECKPOINT)} beside it: export it again")
    found = {"model": str(model), "digest": classifier.info()["digest"], **figures(classifier.labels, answers)}
    say(as_json(found) if as_document else "\n".join(_lines(found)))


def is_older(model: Path, metadata: Metadata) -> bool:
    """Whether a checkpoint lies beside an artefact, and it was exported from another one."""
    known = metadata.provenance.get("checkpoint")
    try:
        return isinstance(known, str) and known != digest(model.with_name(CHECKPOINT).read_bytes())
    except (OSError, ValueError):
        return False


def _decided(found: dict[str, Any]) -> Iterator[str]:
    """Say how the decisions do."""
    if accepted := found.get("accepted"):
        wrong = "none" if accepted["error"] is None else f"{accepted['error']:.2%}"
        yield f"accepted: {accepted['coverage']:.2%} of the answers, {wrong} of them wrong"
    for threshold in found.get("thresholds", []):
        measured = "not measured" if threshold["found"] is None else f"{threshold['found']:.2%}"
        what = "wrong" if threshold["label"] is None else f"{printable(threshold['label'])} missed"
        yield f"  at most {threshold['max_error']:.2%} {what}: {measured}"
    for one in found.get("sets", []):
        yield (
            f"prediction sets of {one['confidence']:.0%}: {one['coverage']:.2%} have the true label, "
            f"{one['size']:.2f} labels on average"
        )
    if "familiar" in found:
        yield f"familiar: {found['familiar']:.2%} of the images"


def _lines(found: dict[str, Any]) -> Iterator[str]:
    """Lay the figures out for a terminal."""
    yield (
        f"{printable(found['data'])}: {found['images']:,} {found['which']}, accuracy {found['accuracy']:.4f}, "
        f"loss {found['loss']:.4f}, calibration error {found['calibration_error']:.4f} "
        f"({found['calibration_error_by_chance']:.4f} by chance)"
    )
    yield from _decided(found.get("decision", {}))
    labels = [printable(label) for label in found["per_class"]]
    rows = [
        (label, *(f"{row[name]:.4f}" for name in ("precision", "recall", "f1")), f"{row['images']:,}")
        for label, row in zip(labels, found["per_class"].values(), strict=True)
    ]
    yield ""
    yield from table([("label", "precision", "recall", "f1", "images"), *rows], numbers=True)
    matrix, width = found.get("confusion_matrix", [[0]]), max(5, *map(len, labels))
    size = max(len(str(count)) for row in matrix for count in row)
    if len(labels) > COLUMNS or width + len(labels) * (2 + size) > room():
        yield f"\nconfusion matrix: {len(labels)} × {len(labels)}, in --json"
        return
    yield "\nconfusion matrix: a row for each true label, a column for each predicted one"
    for label, row in zip(labels, matrix, strict=True):
        yield f"{label:<{width}}  {'  '.join(f'{count:>{size}}' for count in row)}"

"""`kit evaluate`: an artefact's metrics on a test set, the same as those of `kit train`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from runtime import Classifier, load
from runtime.text import as_json, printable, say
from trainer.data.unreadable import MAX_UNREADABLE
from trainer.report.metrics import classification_metrics

from .gate.parity import answers
from .gate.verification import LabelledImages, load_images

LEAST = float(np.finfo(np.float32).tiny)
COLUMNS = 20  # of a confusion matrix in text


@click.command()
@click.option("--model", type=click.Path(path_type=Path), required=True, help="The artefact, an .onnx or .ort file.")
@click.option("--data", required=True, metavar="NAME|DIR", help="Data set, named as for kit train --data.")
@click.option("--data-dir", type=click.Path(path_type=Path), envvar="KIT_DATA_DIR", show_envvar=True,
              help="Folder of torchvision's data sets; missing ones are downloaded to it.  "
              "[default: data]")  # fmt: skip
@click.option("--max-unreadable", type=click.FloatRange(0, 1), default=MAX_UNREADABLE, show_default=True,
              help="Share of the images that may be unreadable; they are left out.")  # fmt: skip
@click.option("--json", "as_document", is_flag=True, help="Print the figures as JSON.")
def evaluate(model: Path, data: str, data_dir: Path | None, max_unreadable: float, as_document: bool) -> None:
    """Evaluate an artefact on a test set: accuracy, loss, and the other metrics of kit train.

    A folder without test images is split with the random seed of the training, as kit train splits it.
    """
    classifier = load(model)
    images = load_images(classifier.metadata, data, data_dir, max_unreadable)
    found = {"model": str(model), "digest": classifier.info()["digest"], **figures(classifier, images)}
    say(as_json(found) if as_document else "\n".join(_lines(found)))


def figures(classifier: Classifier, data: LabelledImages) -> dict[str, Any]:
    """Compute accuracy (0-1), loss (mean cross-entropy in nats) and `trainer.report.metrics.classification_metrics`.

    A probability of 0 counts as 1e-38 in the loss, 87 nats: float32 has no smaller ones.
    """
    found = answers(classifier.probabilities, data.images)  # [N, K]
    right = found[np.arange(len(found)), data.targets].astype(np.float64)  # [N]
    return {
        "data": data.name,
        "images": len(found),
        "accuracy": float((found.argmax(axis=1) == data.targets).mean()),
        "loss": float(-np.log(right.clip(min=LEAST)).mean()),
        **classification_metrics(classifier.labels, data.targets, found),
    }


def _lines(found: dict[str, Any]) -> Iterator[str]:
    """Lay the figures out for a terminal."""
    yield (
        f"{printable(found['data'])}: {found['images']:,} test images, accuracy {found['accuracy']:.4f}, "
        f"loss {found['loss']:.4f}, calibration error {found['calibration_error']:.4f}"
    )
    labels = [printable(label) for label in found["per_class"]]
    width = max(5, *map(len, labels))
    yield f"\n{'label':<{width}}  precision  recall      f1  images"
    for label, row in zip(labels, found["per_class"].values(), strict=True):
        yield (
            f"{label:<{width}}  {row['precision']:9.4f}  {row['recall']:6.4f}  {row['f1']:6.4f}  {row['images']:>6,}"
        )
    matrix = found["confusion_matrix"]
    if len(matrix) > COLUMNS:
        yield f"\nconfusion matrix: {len(matrix)} × {len(matrix)}, in --json"
        return
    size = max(len(str(count)) for row in matrix for count in row)
    yield "\nconfusion matrix: a row for each true label, a column for each predicted one"
    for label, row in zip(labels, matrix, strict=True):
        yield f"{label:<{width}}  {'  '.join(f'{count:>{size}}' for count in row)}"

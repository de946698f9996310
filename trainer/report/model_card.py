"""MODEL_CARD.md: what a trained model is, how good it is, and what not to use it for."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.image import CHANNELS
from runtime.metrics import MATRIX_CLASSES

from ..config import Choice
from ..data.features import UNSTATED
from .data_section import data_section
from .decision_section import NONE, SOME, decision_section

SPLITS = {"train": "training", "val": "validation", "test": "test"}
WORST = 5
SHOWN = 20  # labels, where there are too many: of the best and of the worst, and in the list of all
REORDERING = ("LRE", "LRO", "RLE", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")  # Unicode's bidirectional controls

CARD = """\
# Model card: {name}

Softmax regression: a linear classifier that turns {seen} into the probabilities of {classes:,} labels.

Labels, in the order of the output: {labels}.

## What it is for

- Images like those it was trained on: one thing to an image, of the same size, place, background and polarity (light
  on dark, or dark on light).
- Small devices, and a first figure that any larger model has to beat.

Not for:

- {others}
- Decisions that harm somebody when they are wrong, without a person who looks.
- Images from another source, before its accuracy has been measured on some of them.

## Data

Data set {name}: {counts}.
{data}

## How good it is

Test accuracy {accuracy:.4f}, test loss {loss:.4f} nats. Always answering the commonest label of the test images would
be right for {baseline:.1%} of them. Calibration error {calibration:.4f}: by so much, on average, the probability of the
predicted label differs from how often such a prediction is right (expected calibration error, 15 bins){chance}.

{splits}{curves}
By label, on the test images{which}:

{per_class}
### What it confuses

{confusions}{confusion_plots}{decisions}
## How to use it

In the folder of this file:

    kit export {checkpoint} --format onnx
    kit classify IMAGE.png --model {artefact} --top-k 3

An image file of any size is brought to {height} × {width} pixels, {color}, as it was for training.

## Limits

{limit}
- {always}: the probability holds
  for images like the test images only.
- It is as one-sided as its training images: what they leave out, it has never seen.
{weights}
## Settings and versions

{choice}{settings}
{versions}"""


ALWAYS = "It always answers one of its labels, whatever it is shown, and may give it a high probability"
ABSTAINS = "It accepts an answer by its probability, whatever it is shown, and may give a wrong one a high probability"
LINEAR = """\
- It is linear: each pixel, at its place, adds to or takes from each label's score, and nothing else counts. A thing
  that is shifted, turned, larger or smaller, on another background or of the other polarity is not recognised."""
LEARNED = """\
- It is linear in features that were learned from patches of the training images: how often and where in the image
  small patterns occur. Larger shapes, and how parts lie to each other, count little."""
FROZEN = """\
- It is linear in features of a network that others have trained on other images, and that was not changed. What that
  network does not tell apart, it cannot; what its images left out is not known here. Its weights: {source}, {digest},
  licence: {licence}."""


def model_card(
    report: Mapping[str, Any], matrix: NDArray[np.int64], *, plots: bool, decision: Mapping[str, Any] | None = None
) -> str:
    """Write the model card of a run, in Markdown (GitHub's, for its tables).

    No time, path or duration goes in: equal runs give equal cards.

    report: content of report.json.
    matrix: confusion matrix, int64 [K, K], rows the true label.
    plots: whether to show the plots of `write_plots`, which lie beside the card.
    decision: the checkpoint's, as JSON; None for none.
    """
    image, metrics, figures = report["image"], report["metrics"], report["figures"]
    labels, per_class = report["labels"], metrics["per_class"]
    best, worst = _best_and_worst(per_class)
    many = len(labels) > MATRIX_CLASSES
    which = f", the {len(best)} best and the {len(worst)} worst of {len(labels):,} labels by F1; report.json has all"
    channels = CHANNELS[image["color"]]
    checkpoint = Path(report["checkpoint"])

    def show(caption: str, file: str) -> str:
        return f"\n![{caption}]({file})\n" if plots else ""

    return CARD.format(
        name=escape(report["data"]["name"]),
        **_words(report, decision or {}),
        height=image["height"],
        width=image["width"],
        color="greyscale" if channels == 1 else "RGB",
        classes=len(labels),
        labels=_list(labels),
        counts=_counts(report["data"]),
        accuracy=figures["test_accuracy"],
        loss=figures["test_loss"],
        baseline=matrix.sum(axis=1).max() / matrix.sum(),
        calibration=metrics["calibration_error"],
        decisions=show("Probabilities", "probabilities.png") + decision_section(report, decision, escape),
        splits=_splits(figures),
        curves=show("Loss and accuracy by epoch", "curves.png"),
        which=which if many else "",
        per_class=_per_class(best + worst if many else labels, per_class),
        confusions=_confusions(labels, matrix),
        confusion_plots=show("Confusion matrix", "confusion.png") + show("Worst mistakes", "mistakes.png"),
        checkpoint=checkpoint.name,
        artefact=checkpoint.with_suffix(".onnx").name,
        weights="" if "features" in report else show("Weights of each label", "weights.png"),
        choice=f"Chosen: {Choice.of(report['choice']).describe()}.\n\n" if "choice" in report else "",
        settings=_table(("setting", "value"), [row for row in report["settings"].items() if row[1] is not None]),
        versions=_table(("package", "version"), report["versions"].items()),
    )


def _words(report: Mapping[str, Any], decision: Mapping[str, Any]) -> dict[str, str]:
    """Say what the model sees, what it cannot do, and how far its probabilities hold."""
    chance = report["metrics"].get("calibration_error_by_chance")
    return {
        "seen": _seen(report),
        "limit": _limit(report),
        "data": data_section(report),
        "others": SOME if decision.get("familiarity") else NONE,
        "always": ABSTAINS if decision.get("thresholds") else ALWAYS,
        "chance": ""
        if chance is None
        else f"; by chance\nalone, a model whose probabilities hold has up to {chance:.4f}",
    }


def _seen(report: Mapping[str, Any]) -> str:
    """Say what the regression sees of an image."""
    image = report["image"]
    channels = CHANNELS[image["color"]]
    color = "greyscale" if channels == 1 else "RGB"
    sides = f"({image['height']} × {image['width']} × {channels},\nuint8, 0-255, {color})"
    values = image["height"] * image["width"] * channels
    if features := report.get("features"):
        return f"the {features['size']:,} features that {escape(features['name'])} makes of an image {sides}"
    return f"an image's {values:,} pixel values {sides}"


def _limit(report: Mapping[str, Any]) -> str:
    """Say what a model of these features cannot tell apart."""
    features = report.get("features")
    if not features:
        return LINEAR
    weights = features.get("weights")
    if not weights:
        return LEARNED
    licence = "not stated" if weights["licence"] == UNSTATED else weights["licence"]
    return FROZEN.format(**{name: escape(text) for name, text in (weights | {"licence": licence}).items()})


def escape(text: str) -> str:
    """Make any text a piece of one Markdown line or table cell that reads as the text itself."""
    plain = plain_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", plain)


def plain_line(text: str) -> str:
    """Bring any text to one printable line: "␣" for blank text, "�" for control and bidirectional characters."""
    joined = " ".join(text.split()) or "␣"
    return "".join("�" if _controls(character) else character for character in joined)


def _controls(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs") or unicodedata.bidirectional(character) in REORDERING


def _counts(data: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{data[f'{split}_images']:,} {name} images" for split, name in SPLITS.items() if data.get(f"{split}_images")
    )


def _splits(figures: Mapping[str, Any]) -> str:
    rows = [
        (name, f"{figures[f'{split}_loss']:.4f}", f"{figures[f'{split}_accuracy']:.4f}")
        for split, name in SPLITS.items()
        if figures.get(f"{split}_loss") is not None
    ]
    return _table(("images", "loss", "accuracy"), rows)


def _list(labels: Sequence[str]) -> str:
    few = labels if len(labels) <= MATRIX_CLASSES else labels[:SHOWN]
    rest = f" and {len(labels) - len(few):,} more, which report.json lists" if len(labels) > len(few) else ""
    return ", ".join(map(escape, few)) + rest


def _best_and_worst(per_class: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """Find the labels with the highest F1 and those with the lowest, both from high to low."""
    measured = [label for label, scores in per_class.items() if scores["images"]]
    measured.sort(key=lambda label: -per_class[label]["f1"])
    return measured[:SHOWN], measured[SHOWN:][-SHOWN:]


def _per_class(labels: Sequence[str], per_class: Mapping[str, Mapping[str, Any]]) -> str:
    """Lay the scores out, a row for each label; "–" where no test image has the label, as nothing was measured."""
    rows = []
    for label in labels:
        scores = per_class[label]
        shown = [f"{scores[name]:.3f}" if scores["images"] else "–" for name in ("precision", "recall", "f1")]
        rows.append((label, *shown, f"{scores['images']:,}"))
    return _table(("label", "precision", "recall", "F1", "test images"), rows)


def _confusions(labels: Sequence[str], matrix: NDArray[np.int64]) -> str:
    """List the most frequent confusions."""
    wrong = matrix - np.diag(matrix.diagonal())
    cells = sorted(np.argwhere(wrong), key=lambda cell: -wrong[tuple(cell)])
    if not cells:
        return "Nothing: every test image got its true label.\n"
    return "".join(
        f"- Of {matrix[true].sum():,} test images of {escape(labels[true])}, {matrix[true, predicted]:,} got the label "
        f"{escape(labels[predicted])}.\n"
        for true, predicted in cells[:WORST]
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lay out a Markdown table; the first column is text, the others are figures."""
    lines = [" | ".join(head), " | ".join(["---"] + ["---:"] * (len(head) - 1))]
    lines += [" | ".join(escape(str(cell)) for cell in row) for row in rows]
    return "".join(f"| {line} |\n" for line in lines)

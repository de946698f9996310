"""report.html: a run as one self-contained page, whose confusion matrix opens the images in its cells."""

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.metrics import MATRIX_CLASSES

from ..auditing.page import thumbnail
from ..config import Choice
from ..data.dataset import Split

TEMPLATE = Path(__file__).with_name("report.template.html")
EACH, WORST = 50, 24  # images of a cell, at most, and of the worst mistakes
MOST_BYTES = 4 * 2**20  # of thumbnails
CELLS = 200  # of the confusion matrix of many classes
PLOTS = {
    "curves.png": "Loss and accuracy by epoch",
    "probabilities.png": "How often answers are right, and what abstaining gains",
}


class _Answers(NamedTuple):
    """The answers to the test images. order: rows by cell, the worst first."""

    labels: Sequence[str]
    split: Split
    targets: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float32]

    def cells(self) -> dict[tuple[int, int], NDArray[np.intp]]:
        """Rows of each cell that has some: wrong answers from the surest on, right ones from the least sure on."""
        right = self.predicted == self.targets
        order = np.argsort(np.where(right, self.confidence, -self.confidence), kind="stable")
        keys = self.targets[order] * len(self.labels) + self.predicted[order]
        return {
            (int(key) // len(self.labels), int(key) % len(self.labels)): order[keys == key] for key in np.unique(keys)
        }


def report_page(folder: Path, report: Mapping[str, Any], split: Split, probabilities: NDArray[np.float32]) -> str:
    """Write a run's page.

    folder: with the plots.
    report: content of report.json.
    split: the test images. probabilities: float32 [N, K], of these.
    """
    labels = report["labels"]
    best, largest = probabilities.argmax(axis=1), probabilities.max(axis=1)
    answers = _Answers(labels, split, split.targets.cpu().numpy(), best, largest)
    cells = answers.cells()
    shown = _shown(answers, cells)
    data = {
        "labels": list(map(_text, labels)),
        "cells": {f"{true}-{predicted}": rows for (true, predicted), rows in shown.items()},
        "counts": {f"{true}-{predicted}": len(rows) for (true, predicted), rows in cells.items()},
    }
    figures = report["figures"]
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=_escaped(report["data"]["name"]),
        summary=(
            f"Test accuracy {figures['test_accuracy']:.4f}, loss {figures['test_loss']:.4f}, on "
            f"{report['data']['test_images']:,} test images; calibration error "
            f"{report['metrics']['calibration_error']:.4f}."
        ),
        plots="\n".join(_plot(folder / name, alt) for name, alt in PLOTS.items() if (folder / name).exists()),
        matrix=_matrix(answers, cells) if len(labels) <= MATRIX_CLASSES else _largest(answers, cells),
        classes=_classes(report["metrics"]["per_class"]),
        mistakes=_mistakes(answers, shown),
        audit=_audit(report.get("audit", {}).get("findings", [])),
        choice=_escaped(Choice.of(report["choice"]).describe()) if "choice" in report else "",
        settings=_rows({**report["settings"], **report["versions"]}),
        data=_embedded(data),
    )


def _shown(
    answers: _Answers, cells: Mapping[tuple[int, int], NDArray[np.intp]]
) -> dict[tuple[int, int], list[list[Any]]]:
    """Make thumbnails of each cell's first images: name, probability and address; fewer where they are large."""
    each, names = EACH, answers.split.names
    made: dict[int, str] = {}
    for place in range(EACH):
        for rows in cells.values():
            if place < len(rows):
                made[int(rows[place])] = thumbnail(answers.split.images[int(rows[place])].numpy())
        if sum(map(len, made.values())) > MOST_BYTES:
            each = place
            break
    return {
        cell: [[_text(names[row]), round(float(answers.confidence[row]), 4), made[row]] for row in rows[:each].tolist()]
        for cell, rows in cells.items()
    }


def _matrix(answers: _Answers, cells: Mapping[tuple[int, int], NDArray[np.intp]]) -> str:
    head = "".join(f'<th scope="col">{_escaped(label)}</th>' for label in answers.labels)
    lines = [
        f'<table class="matrix"><caption>Rows: true label. Columns: predicted label.</caption><tr><td></td>{head}</tr>'
    ]
    for true, label in enumerate(answers.labels):
        total = max(1, int((answers.targets == true).sum()))
        row = "".join(_cell(answers, cells, true, predicted, total) for predicted in range(len(answers.labels)))
        lines.append(f'<tr><th scope="row">{_escaped(label)}</th>{row}</tr>')
    return "\n".join([*lines, "</table>"])


def _cell(
    answers: _Answers, cells: Mapping[tuple[int, int], NDArray[np.intp]], true: int, predicted: int, total: int
) -> str:
    count = len(cells.get((true, predicted), ()))
    if not count:
        return '<td class="none">0</td>'
    kind = "right" if true == predicted else "wrong"
    shade = min(1.0, (count / total) ** 0.5)
    return f'<td class="{kind}" style="--share:{shade:.2f}">{_button(answers, true, predicted, count, str(count))}</td>'


def _button(answers: _Answers, true: int, predicted: int, count: int, text: str) -> str:
    says = f"{count:,} test images of {answers.labels[true]}, predicted {answers.labels[predicted]}"
    return (
        f'<button type="button" data-cell="{true}-{predicted}" aria-label="{_escaped(says)}">{_escaped(text)}</button>'
    )


def _largest(answers: _Answers, cells: Mapping[tuple[int, int], NDArray[np.intp]]) -> str:
    """List the confusions of most images, where a matrix would be too large."""
    wrong = sorted((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: -len(cells[cell]))[:CELLS]
    items = []
    for true, predicted in wrong:
        count = len(cells[true, predicted])
        text = f"{count:,} × {answers.labels[true]}, predicted {answers.labels[predicted]}"
        items.append(f"<li>{_button(answers, true, predicted, count, text)}</li>")
    return f'<ul class="list">{"".join(items)}</ul>'


def _classes(per_class: Mapping[str, Mapping[str, Any]]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{_escaped(label)}</th>'
        + "".join(f"<td>{row[name]:.3f}</td>" for name in ("precision", "recall", "f1"))
        + f"<td>{row['images']:,}</td></tr>"
        for label, row in per_class.items()
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("label", "precision", "recall", "F1", "test images"))
    return f"<table><tr>{head}</tr>{rows}</table>"


def _mistakes(answers: _Answers, shown: Mapping[tuple[int, int], list[list[Any]]]) -> str:
    every = [(image, cell) for cell, images in shown.items() if cell[0] != cell[1] for image in images]
    every.sort(key=lambda found: -found[0][1])
    items = [
        _figure(image, f"{answers.labels[cell[1]]} {image[1]:.3f}, true {answers.labels[cell[0]]}")
        for image, cell in every[:WORST]
    ]
    return f'<ul class="images">{"".join(items)}</ul>' if items else "<p>None.</p>"


def _figure(image: Sequence[Any], words: str) -> str:
    name, _, address = image
    texts = "".join(f"<span>{_escaped(text)}</span>" for text in (words, name))
    return f'<li><img src="{address}" alt="{_escaped(name)}">{texts}</li>'


def _audit(findings: Sequence[Mapping[str, Any]]) -> str:
    if not findings:
        return "<p>No exact copies, blank or badly exposed images, or small classes were found.</p>"
    head = "".join(f'<th scope="col">{name}</th>' for name in ("kind", "part", "image", "label", "other"))
    rows = "".join(
        "<tr>" + "".join(f"<td>{_escaped(finding[name])}</td>" for name in ("kind", "part", "image", "label", "other"))
        + "</tr>"
        for finding in findings
    )  # fmt: skip
    return f"<table><tr>{head}</tr>{rows}</table>"


def _rows(values: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{_escaped(name)}</th><td>{_escaped(str(value))}</td></tr>'
        for name, value in values.items()
        if value is not None
    )
    return f"<table>{rows}</table>"


def _plot(path: Path, alt: str) -> str:
    address = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    return f'<img class="plot" src="{address}" alt="{escape(alt)}">'


def _embedded(data: Any) -> str:
    """Write JSON that ends no element of the page that it is in."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _escaped(text: str) -> str:
    return escape(_text(text))


def _text(text: str) -> str:
    """Replace what no UTF-8 has."""
    return text.encode("utf-8", "backslashreplace").decode()

"""Tables of a run as CSV: predictions of the test images, and text that a spreadsheet does not run."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.names import Names

FORMULA = ("=", "+", "-", "@", "\t")  # how a cell begins that spreadsheets compute


def as_csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Lay rows out as CSV; text that a spreadsheet would take for a formula gets an apostrophe before it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(plain, head))
    writer.writerows([plain(cell) for cell in row] for row in rows)
    return text.getvalue()


def plain(cell: Any) -> Any:
    """Return a cell that is a number, or text that is no formula; what no UTF-8 has is escaped."""
    if not isinstance(cell, str):
        return cell
    printable = cell.encode("utf-8", "backslashreplace").decode().replace("\r", "\\r")
    return f"'{printable}" if printable.startswith(FORMULA) else printable


def predictions_csv(
    names: Names, labels: Sequence[str], targets: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> str:
    """Lay out the predictions of images: image, target, label and probability.

    names: of the images, N. labels: K. targets: int64 [N]. probabilities: float32 [N, K].
    """
    best, largest = probabilities.argmax(axis=1).tolist(), probabilities.max(axis=1).tolist()
    rows = (
        (names[place], labels[target], labels[index], f"{probability:.6g}")
        for place, (target, index, probability) in enumerate(zip(targets.tolist(), best, largest, strict=True))
    )
    return as_csv(("image", "target", "label", "probability"), rows)

"""Compares two runs on the same test images: which is better, by how much, and whether that is shown."""

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import CheckpointError, ConfigError
from .files import HISTORY, PREDICTIONS, REPORT

Z = 1.959963984540054  # of a 95 % interval
FIGURES = ("test_accuracy", "test_loss", "train_accuracy", "train_loss")


class Difference(NamedTuple):
    """How much more often the second run is right, with a 95 % interval: shares, −1 to 1.

    only_first, only_second: images that one run alone has right.
    """

    difference: float
    lowest: float
    highest: float
    only_first: int
    only_second: int

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.lowest > 0 or self.highest < 0


class _Predictions(NamedTuple):
    images: list[str]
    targets: list[str]
    labels: list[str]


def compare(first: Path | str, second: Path | str) -> dict[str, Any]:
    """Compare the runs of two folders; what `kit compare` prints, ready for JSON.

    Returns runs; figures, a row for each; difference of the accuracy with its 95 % interval, paired by image; classes:
    recall of each label in both; history: a row for each epoch of each run. The lists of rows are tables for
    `pandas.DataFrame` and `polars.DataFrame`.
    Raises CheckpointError where a folder holds no finished run with predictions, and ConfigError where the test images
    differ.
    """
    folders = Path(first), Path(second)
    reports = [_report(folder) for folder in folders]
    one, other = (_predictions(folder) for folder in folders)
    if one.images != other.images or one.targets != other.targets:
        raise ConfigError(
            f"expected runs of the same test images, found {len(one.images):,} in {folders[0]} and "
            f"{len(other.images):,} others in {folders[1]}: train both on the same --data, with the same --seed"
        )
    right = [np.array(found.labels) == np.array(found.targets) for found in (one, other)]
    return {
        "runs": [str(folder) for folder in folders],
        "images": len(one.images),
        "figures": [_figures(folder, report) for folder, report in zip(folders, reports, strict=True)],
        "difference": _as_json(paired(*right)),
        "classes": _classes(np.array(one.targets), *right),
        "history": [row for folder in folders for row in _history(folder)],
    }


def paired(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Difference:
    """Difference of two shares of the same images, with its interval: bool [N] each.

    Wald's interval with 1/2 added to each cell of the table (A. Agresti and Y. Min, "Simple improved confidence
    intervals for comparing matched proportions", Statistics in Medicine 24, 2005).
    """
    count, only_first, only_second = len(first), int((first & ~second).sum()), int((second & ~first).sum())
    lost, won, total = only_first + 0.5, only_second + 0.5, count + 2
    middle = (won - lost) / total
    half = Z * math.sqrt(max(0.0, (won + lost) - (won - lost) ** 2 / total)) / total
    difference = (only_second - only_first) / max(1, count)
    return Difference(difference, max(-1.0, middle - half), min(1.0, middle + half), only_first, only_second)


def _as_json(found: Difference) -> dict[str, Any]:
    return {**found._asdict(), "shown": found.shown}


def _classes(targets: NDArray[np.str_], first: NDArray[np.bool_], second: NDArray[np.bool_]) -> list[dict[str, Any]]:
    rows = []
    for label in dict.fromkeys(targets.tolist()):
        some = targets == label
        found = paired(first[some], second[some])
        recalls = {"first": float(first[some].mean()), "second": float(second[some].mean())}
        rows.append({"label": label, "images": int(some.sum()), **recalls, **_as_json(found)})
    return sorted(rows, key=lambda row: -abs(row["difference"]))


def _figures(folder: Path, report: Mapping[str, Any]) -> dict[str, Any]:
    figures = {name: report["figures"].get(name) for name in FIGURES}
    features = report.get("features") or {}
    return {
        "run": str(folder),
        **figures,
        "calibration_error": report["metrics"].get("calibration_error"),
        "features": features.get("name", "pixels"),
        "seconds": report.get("seconds"),
    }


def _report(folder: Path) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        _figures(folder, report)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{folder}: expected a finished run with {REPORT}, found none that can be read ({error}): train it"
        ) from None
    return report


def _predictions(folder: Path) -> _Predictions:
    try:
        with (folder / PREDICTIONS).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return _Predictions(*([row[name] for row in rows] for name in ("image", "target", "label")))
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise CheckpointError(
            f"{folder}: expected a finished run with {PREDICTIONS}, found none that can be read ({error}): train it "
            "with this version"
        ) from None


def _history(folder: Path) -> list[dict[str, Any]]:
    try:
        with (folder / HISTORY).open(encoding="utf-8", newline="") as file:
            return [
                {"run": str(folder), **{name: float(value) if value else None for name, value in row.items()}}
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, csv.Error) as error:
        raise CheckpointError(f"{folder}: expected {HISTORY} of a run, found: {error}: train it") from None

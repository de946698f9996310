"""Brings a run's report and model card up to date with a decision that was found after the training."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.files import write_atomic
from runtime.text import as_json

from ..checkpoint import Checkpoint
from ..errors import TrainerError
from .model_card import model_card
from .run import CARD, CONFUSION, PLOTS, REPORT


def rewrite(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the decision in report.json and MODEL_CARD.md, where there is a report.

    What the test images showed of an earlier decision is left out: `kit evaluate` measures the new one. Raises
    TrainerError.
    """
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        report["decision"] = checkpoint.provenance["decision"]
        report["metrics"].pop("decision", None)
        matrix = _matrix(folder, report)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # another's, or none
        return
    decision = checkpoint.decision and checkpoint.decision.to_json()
    plots = all((folder / name).exists() for name in PLOTS[:2])
    write_atomic(folder / REPORT, (as_json(report) + "\n").encode(), TrainerError)
    write_atomic(folder / CARD, model_card(report, matrix, plots=plots, decision=decision).encode(), TrainerError)


def _matrix(folder: Path, report: dict[str, Any]) -> NDArray[np.int64]:
    if "confusion_matrix" in report["metrics"]:
        return np.array(report["metrics"]["confusion_matrix"], np.int64)
    rows = list(csv.reader((folder / CONFUSION).read_text(encoding="utf-8").splitlines()))
    return np.array([row[1:] for row in rows[1:]], np.int64)

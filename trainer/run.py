"""A run's folder: the checkpoint, the figures of every epoch, and the report."""

import csv
import io
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from .checkpoint import FILE_NAME, save_checkpoint
from .files import write_atomic
from .training import Epoch, Fit


def write_run(folder: Path, fit: Fit) -> dict[str, Any]:
    """Write model.safetensors, history.csv and report.json into `folder`; return the report. Raises TrainerError."""
    report = {
        **fit.checkpoint.provenance,
        "labels": list(fit.checkpoint.labels),
        "seconds": round(sum(epoch.seconds for epoch in fit.history), 3),
        "checkpoint": str(folder / FILE_NAME),
    }
    write_atomic(folder / "history.csv", history_csv(fit.history).encode())
    write_atomic(folder / "report.json", (json.dumps(report, indent=2, ensure_ascii=False) + "\n").encode())
    save_checkpoint(fit.checkpoint, folder / FILE_NAME)
    return report


def history_csv(history: tuple[Epoch, ...]) -> str:
    """Lay the epochs out as CSV with a header, one row an epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Epoch)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(epoch) for epoch in history)
    return text.getvalue()

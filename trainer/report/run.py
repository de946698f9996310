"""A run's folder: the checkpoint, the figures of every epoch, the report, and what people look at."""

import csv
import io
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from runtime.text import as_json

from ..checkpoint import FILE_NAME, Checkpoint, load_checkpoint, save_checkpoint
from ..data.dataset import Dataset
from ..errors import CheckpointError
from ..files import discard_parts, write_atomic
from ..fitting import EVALUATION_BATCH, Epoch, Fit
from ..softmax_regression import Model
from .metrics import classification_metrics
from .model_card import model_card


class Run:
    """The folder of one training. pictures: whether to draw them at the end."""

    def __init__(self, folder: Path, data: Dataset, *, pictures: bool) -> None:
        self.checkpoint_path = folder / FILE_NAME
        self._folder, self._data, self._pictures = folder, data, pictures
        discard_parts(folder)

    def saved(self) -> Checkpoint | None:
        """Read the checkpoint that is there, None where none is. Raises CheckpointError for a damaged one."""
        if not os.path.lexists(self.checkpoint_path):
            return None
        return load_checkpoint(self.checkpoint_path)

    def save(self, fit: Fit) -> None:
        """Write history.csv, all that is made from a finished fit, and then the checkpoint. Raises TrainerError."""
        write_atomic(self._folder / "history.csv", history_csv(fit.history).encode())
        if fit.finished:
            self._write_report(fit)
        save_checkpoint(fit.checkpoint, self.checkpoint_path)

    def report(self) -> dict[str, Any]:
        """Read report.json. Raises CheckpointError where it is missing or damaged."""
        path = self._folder / "report.json"
        try:
            report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path}: expected a finished run's report, found: {error}: train again") from None
        return report

    def _write_report(self, fit: Fit) -> None:
        probabilities = answers(fit.model, self._data)
        targets = self._data.test.targets.numpy()
        image = fit.checkpoint.image
        report = {
            **fit.checkpoint.provenance,
            "labels": list(fit.checkpoint.labels),
            "image": {"height": image.height, "width": image.width, "color": image.color},
            "metrics": classification_metrics(fit.checkpoint.labels, targets, probabilities),
            "converged": fit.converged,
            "seconds": round(sum(epoch.seconds for epoch in fit.history), 3),
            "checkpoint": str(self.checkpoint_path),
        }
        write_atomic(self._folder / "report.json", (as_json(report) + "\n").encode())
        write_atomic(self._folder / "MODEL_CARD.md", model_card(report, pictures=self._pictures).encode())
        if self._pictures:
            from .plots import write_pictures

            write_pictures(
                self._folder,
                history=[asdict(epoch) for epoch in fit.history],
                labels=fit.checkpoint.labels,
                weights=fit.checkpoint.weights,
                shape=image.shape,
                confusion=report["metrics"]["confusion_matrix"],
                images=self._data.test.images,
                targets=targets,
                probabilities=probabilities,
            )


def answers(model: Model, data: Dataset) -> Any:
    """Probabilities of the test images: float32 [N, K]."""
    return torch.cat([model.probabilities(block) for block in data.test.images.split(EVALUATION_BATCH)]).numpy()


def history_csv(history: Iterable[Epoch]) -> str:
    """Lay the epochs out as CSV with a header, one row an epoch; a figure that was not taken is left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Epoch)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(epoch) for epoch in history)
    return text.getvalue()

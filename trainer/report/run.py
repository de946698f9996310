"""A run's folder: the checkpoint, the figures of every epoch, and the report."""

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.decision import Decision
from runtime.decision_metrics import decision_metrics
from runtime.files import FilePath, check_name, check_target, discard_parts, locked, writable, write_atomic
from runtime.metrics import MATRIX_CLASSES, calibration_error, classification_metrics, confusion_matrix
from runtime.text import as_json, note

from ..checkpoint import FILE_NAME, Checkpoint, load_checkpoint, save_checkpoint
from ..data.dataset import Dataset
from ..decisions.concluding import probabilities_of
from ..epoch import Epoch
from ..errors import CheckpointError, TrainerError
from ..fitted import Fit
from .data_section import ACROSS
from .files import CARD, COMMAND, CONFUSION, HISTORY, PAGE, PLOTS, PREDICTIONS, REPORT, UNFINISHED
from .html import report_page
from .model_card import model_card
from .tables import as_csv, predictions_csv

LEAST = float(np.finfo(np.float32).tiny)


class Run:
    """The folder of one run.

    An unfinished fit lies in it too. Where there is a model before, it lies in the folder `unfinished/` below, and
    takes the place of that model when it is finished.

    plots: whether to draw them when training ends.
    inputs: files and folders that the data were read from.
    command: the options that repeat the run, TOML; None for none. A resumed fit keeps those that it began with.
    say: prints notes.
    Raises TrainerError where its files cannot be written, before anything is trained.
    """

    def __init__(
        self,
        folder: Path,
        data: Dataset,
        *,
        plots: bool,
        inputs: Sequence[FilePath] = (),
        command: bytes | None = None,
        say: Callable[[str], None] = note,
    ) -> None:
        self.folder, self.checkpoint_path = folder, folder / FILE_NAME
        self._data, self._plots, self._command, self._say = data, plots, command, say
        check_name(folder, TrainerError, inputs)
        self._many = len(data.labels) > MATRIX_CLASSES
        more = (*((*PLOTS, PAGE) if plots else ()), *([CONFUSION] if self._many else ()))
        for name in (HISTORY, COMMAND, REPORT, CARD, PREDICTIONS, FILE_NAME, *more):
            check_target(folder / name, TrainerError, inputs)
        before = any(os.path.lexists(folder / name) for name in (HISTORY, FILE_NAME))
        self._unfinished = folder / UNFINISHED if before else folder
        self._wrote = False
        self._rest: Callable[[], None] | None = None

    @property
    def unfinished_path(self) -> Path:
        """The checkpoint of an unfinished fit."""
        return self._unfinished / FILE_NAME

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process alone. Raises TrainerError where another one trains in it."""
        with locked(self.folder, TrainerError, "wait until its `kit train` ends, or name another folder with --out"):
            for folder in (self.folder, self.folder / UNFINISHED):
                discard_parts(folder)
            yield

    def saved(self) -> Checkpoint | None:
        """Read the checkpoint, of an unfinished fit first, None without any. Raises CheckpointError for a damaged one.

        An unfinished fit is saved where it was.
        """
        for folder in (self.folder / UNFINISHED, self.folder):
            if os.path.lexists(folder / FILE_NAME):
                checkpoint = load_checkpoint(folder / FILE_NAME)
                if checkpoint.progress is not None:
                    self._unfinished = folder
                    with suppress(OSError):  # of an earlier version
                        self._command = (folder / COMMAND).read_bytes()
                return checkpoint
        return None

    def save(self, fit: Fit) -> None:
        """Write history.csv, the report of a finished fit but for plots, and the checkpoint. Raises TrainerError."""
        folder = self.folder if fit.finished else self._unfinished
        self._wrote = True
        write_atomic(folder / HISTORY, history_csv(fit.history).encode(), TrainerError)
        if self._command:
            write_atomic(folder / COMMAND, self._command, TrainerError)
        if fit.finished:
            self._write_report(fit)
        save_checkpoint(fit.checkpoint, folder / FILE_NAME)
        if fit.finished:
            discard_unfinished(self.folder / UNFINISHED)

    def draw(self) -> None:
        """Draw the plots of the finished fit that was saved, and write report.html. Raises TrainerError."""
        if self._rest:
            self._rest()
            self._rest = None

    def discard(self) -> None:
        """Remove the unfinished fit that was saved, if one was; an earlier one stays."""
        if self._wrote:
            discard_unfinished(self._unfinished)

    def report(self) -> dict[str, Any]:
        """Read report.json. Raises CheckpointError where it is missing or damaged."""
        path = self.folder / REPORT
        try:
            report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path}: expected a finished run's report, found: {error}: train again") from None
        return report

    def _write_report(self, fit: Fit) -> None:
        probabilities, targets = probabilities_of(fit.checkpoint, self._data.test), self._data.test.targets.numpy()
        image, labels = fit.checkpoint.image, fit.checkpoint.labels
        confusion = confusion_matrix(targets, probabilities.argmax(axis=1), len(labels))
        metrics = classification_metrics(labels, targets, probabilities)
        before = self._before_calibration(fit.checkpoint)
        if fit.checkpoint.decision:
            metrics["decision"] = self._decided(fit.checkpoint, probabilities)
        if self._many:
            del metrics["confusion_cells"]
            metrics["confusion_file"] = CONFUSION
            self._write(CONFUSION, confusion_csv(labels, confusion))
        else:
            self._discard_confusion()
        report = {
            **{name: value for name, value in fit.checkpoint.provenance.items() if name != "fingerprints"},
            "labels": list(labels),
            "image": {"height": image.height, "width": image.width, "color": image.color},
            "metrics": metrics,
            **({"audit": self._audited()} if self._plots else {}),
            **_figures_before(targets, probabilities if before is None else before, fit.checkpoint),
            "converged": fit.converged,
            "seconds": round(sum(epoch.seconds for epoch in fit.history), 3),
            "checkpoint": str(self.checkpoint_path),
        }
        self._write(PREDICTIONS, predictions_csv(self._data.test.names, labels, targets, probabilities))
        self._write(REPORT, as_json(report) + "\n")
        decision = fit.checkpoint.decision and fit.checkpoint.decision.to_json()
        self._write(CARD, model_card(report, confusion, plots=self._plots, decision=decision))
        if self._plots:
            accepted = metrics.get("decision", {}).get("accepted")
            self._discard_plots()
            self._rest = partial(self._draw, fit, report, confusion, probabilities, before=before, accepted=accepted)

    def _audited(self) -> dict[str, Any]:
        """Look for the mistakes in the data that are cheap to find; say where the test images are no others."""
        from ..auditing.audit import summary

        found = summary(self._data)
        if copies := found["counts"].get(ACROSS):
            self._say(
                f"{self._data.name}: {copies:,} images are in more than one of the training, validation and test "
                "images, so that the accuracy is too good: kit audit lists them"
            )
        return found

    def _before_calibration(self, checkpoint: Checkpoint) -> NDArray[np.float32] | None:
        """The probabilities of the test images before calibration; None where it did not change them."""
        decision = checkpoint.decision
        if not decision or (decision.temperature == 1 and decision.bias is None):
            return None
        return probabilities_of(replace(checkpoint, decision=None), self._data.test)

    def _decided(self, checkpoint: Checkpoint, probabilities: NDArray[np.float32]) -> dict[str, Any]:
        """Measure the decisions on the test images."""
        test, familiarity = self._data.test, None
        if checkpoint.familiarity is not None:
            from ..features.familiarity import scores

            familiarity = scores(checkpoint.familiarity, test, checkpoint.features)
        decision = checkpoint.decision or Decision()
        return decision_metrics(decision, checkpoint.labels, test.targets.numpy(), probabilities, familiarity)

    def _draw(
        self, fit: Fit, report: dict[str, Any], confusion: NDArray[np.int64], probabilities: NDArray[np.float32],
        **more: Any,
    ) -> None:  # fmt: skip
        with _folder_of_matplotlib(self.folder):
            from .plots import write_plots

            write_plots(
                self.folder,
                history=[asdict(epoch) for epoch in fit.history],
                labels=fit.checkpoint.labels,
                weights=None if fit.checkpoint.features else fit.checkpoint.weights,
                shape=fit.checkpoint.image.shape,
                confusion=confusion,
                images=self._data.test.images,
                targets=self._data.test.targets.numpy(),
                probabilities=probabilities,
                **more,
                named=self._data.test.names,
                say=self._say,
            )
        self._write(PAGE, report_page(self.folder, report, self._data.test, probabilities))

    def _discard_plots(self) -> None:
        """Remove those of an earlier run, which would stand for this one where drawing fails."""
        with writable(self.folder, TrainerError):
            for name in (*PLOTS, PAGE):
                (self.folder / name).unlink(missing_ok=True)

    def _discard_confusion(self) -> None:
        """Remove the confusion matrix of an earlier run, if its report names it."""
        with suppress(CheckpointError, AttributeError, KeyError, TypeError):  # no such report, or other content
            if self.report()["metrics"].get("confusion_file") == CONFUSION:
                with writable(self.folder, TrainerError):
                    (self.folder / CONFUSION).unlink(missing_ok=True)

    def _write(self, name: str, text: str) -> None:
        write_atomic(self.folder / name, text.encode(), TrainerError)


def _figures_before(
    targets: NDArray[np.int64], probabilities: NDArray[np.float32], checkpoint: Checkpoint
) -> dict[str, Any]:
    """What the test images show of the probabilities before calibration; nothing where none was tried."""
    if not checkpoint.decision:
        return {}
    right = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    loss = float(-np.log(right.clip(min=LEAST)).mean())
    return {"before_calibration": {"test_loss": loss, "calibration_error": calibration_error(targets, probabilities)}}


def discard_unfinished(folder: Path) -> None:
    """Remove the files of an unfinished fit, and the folder where nothing else is in it."""
    for name in (FILE_NAME, HISTORY, COMMAND):
        with suppress(OSError):  # of another's; it may stay
            (folder / name).unlink(missing_ok=True)
    with suppress(OSError):  # it is not empty
        folder.rmdir()


@contextmanager
def _folder_of_matplotlib(folder: Path) -> Iterator[None]:
    """Give matplotlib a folder in `folder` where it has no other: without a home it warns or fails."""
    if "MPLCONFIGDIR" in os.environ or os.access(os.path.expanduser("~"), os.W_OK):  # noqa: PTH111 - Path raises
        yield
        return
    with writable(folder, TrainerError), TemporaryDirectory(prefix=".matplotlib.", dir=folder) as name:
        os.environ["MPLCONFIGDIR"] = name
        try:
            yield
        finally:
            del os.environ["MPLCONFIGDIR"]


def history_csv(history: Iterable[Epoch]) -> str:
    """Lay the epochs out as CSV with a header, one row an epoch; None is left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Epoch)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(epoch) for epoch in history)
    return text.getvalue()


def confusion_csv(labels: Sequence[str], matrix: NDArray[np.int64]) -> str:
    """Lay a confusion matrix [K, K] out as CSV: a header with the predicted labels, then a row for each true label."""
    rows = ([label, *row] for label, row in zip(labels, matrix.tolist(), strict=True))
    return as_csv(("true label", *labels), rows)

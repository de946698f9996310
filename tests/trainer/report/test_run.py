"""A run's folder: where the confusion matrix is, of few labels and of many."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from trainer import Dataset, FitConfig, TrainerError, fit
from trainer.data.dataset import Split
from trainer.report.run import Run


def data_of(labels: list[str]) -> Dataset:
    targets = torch.arange(2 * len(labels)) % len(labels)
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (len(targets), 3, 3, 1), dtype=np.uint8))
    split = Split(images, targets)
    return Dataset(name="many", labels=tuple(labels), train=split, test=split)


MANY = data_of(['a "quoted", name', "two\nlines", "犬", *(f"label {index}" for index in range(98))])
FEW = data_of(["no", "yes"])


def train(folder: Path, data: Dataset) -> dict[str, object]:
    run = Run(folder, data, plots=False)
    run.save(fit(data, FitConfig(solver="sgd", epochs=1, device="cpu")))
    metrics: dict[str, object] = run.report()["metrics"]
    return metrics


def test_above_100_labels_the_matrix_is_in_a_file(tmp_path: Path) -> None:
    metrics = train(tmp_path, MANY)
    assert metrics["confusion_file"] == "confusion.csv"
    assert not {"confusion_matrix", "confusion_cells"} & set(metrics)
    with (tmp_path / "confusion.csv").open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["true label", *MANY.labels]
    assert [row[0] for row in rows] == list(MANY.labels)
    matrix = np.array([row[1:] for row in rows], np.int64)
    assert matrix.sum(axis=1).tolist() == [2] * 101
    report = json.loads((tmp_path / "report.json").read_text())
    assert matrix.trace() / matrix.sum() == pytest.approx(report["figures"]["test_accuracy"])


def test_the_matrix_of_an_earlier_run_does_not_stay(tmp_path: Path) -> None:
    train(tmp_path, MANY)
    assert "confusion_matrix" in train(tmp_path, FEW)
    assert not (tmp_path / "confusion.csv").exists()


@pytest.mark.parametrize("report", [None, "{}", "[]", "damaged", '{"metrics": null}'])
def test_a_file_that_no_report_names_stays(report: str | None, tmp_path: Path) -> None:
    (tmp_path / "confusion.csv").write_text("mine")
    if report is not None:
        (tmp_path / "report.json").write_text(report)
    train(tmp_path, FEW)
    assert (tmp_path / "confusion.csv").read_text() == "mine"


def test_the_name_is_checked_where_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "confusion.csv").mkdir()
    Run(tmp_path, FEW, plots=False)
    Run(tmp_path, data_of(list(MANY.labels[:100])), plots=False)
    with pytest.raises(TrainerError, match=r"confusion\.csv: expected a place to write to"):
        Run(tmp_path, MANY, plots=False)

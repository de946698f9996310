"""What a report says of the data's own mistakes."""

import json
from dataclasses import replace
from pathlib import Path

import torch

from tests.interpreter import Kit
from trainer import Dataset, FitConfig, fit
from trainer.report.data_section import APART, data_section
from trainer.report.run import Run


def test_the_words() -> None:
    assert data_section({}) == APART
    assert data_section({"audit": {"counts": {}}}) == APART
    text = " ".join(data_section({"audit": {"counts": {"copy across parts": 3, "blank": 1200}}}).split())
    assert text.startswith("3 images are in two of the training, validation and test images")
    assert "Found besides: blank 1,200." in text
    assert "took no part in the fit." in text


def test_a_test_set_that_is_the_training_set(digits: Dataset, tmp_path: Path) -> None:
    """It no longer gives a good accuracy without a word."""
    rows = torch.arange(200)
    data = replace(digits, test=digits.train.subset(rows))
    said: list[str] = []
    run = Run(tmp_path / "run", data, plots=True, say=said.append)
    run.save(fit(data, FitConfig(device="cpu")))
    assert any("digits: 200 images are in more than one of" in text for text in said)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["audit"]["counts"] == {"copy across parts": 200}
    assert len(report["audit"]["findings"]) == 20
    assert "200 images are in two of" in " ".join((tmp_path / "run" / "MODEL_CARD.md").read_text().split())


def test_no_report_looks_for_none(run_kit: Kit) -> None:
    options = ["train", "--data", "digits", "--solver", "sgd", "--epochs", "1", "--json"]
    assert "audit" not in json.loads(run_kit(*options, "--no-report").stdout)
    assert json.loads(run_kit(*options).stdout)["audit"] == {"counts": {}, "findings": []}

"""`trainer.calibrate` and `kit calibrate`: other decisions for a finished model."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import runtime
from tests.interpreter import Kit
from trainer import (
    Checkpoint,
    CheckpointError,
    ConfigError,
    DataError,
    Dataset,
    FitConfig,
    Split,
    calibrate,
    fit,
    load_checkpoint,
    save_checkpoint,
)  # fmt: skip
from trainer.decisions.demands import Demands

CONFIG = FitConfig(solver="sgd", device="cpu")


@pytest.fixture(scope="module")
def decided(digits: Dataset) -> Checkpoint:
    return fit(digits, dataclasses.replace(CONFIG, max_error=0.1, familiarity=True)).checkpoint


def unseen(digits: Dataset) -> Dataset:
    """The test images as a data set of their own."""
    half = len(digits.test) // 2
    train, test = (
        Split(digits.test.images[rows], digits.test.targets[rows]) for rows in (slice(half), slice(half, None))
    )
    return dataclasses.replace(digits, name="unseen", train=train, test=test)


def test_the_same_images_give_the_same_again(decided: Checkpoint) -> None:
    found, _ = calibrate(decided, Demands(0.1))
    assert found.decision == decided.decision
    assert found.provenance["decision"] == decided.provenance["decision"]
    assert found.to_bytes() == decided.to_bytes()


def test_other_demands(decided: Checkpoint) -> None:
    found, report = calibrate(decided, Demands(0.2))
    assert report.unmet == ()
    assert found.decision is not None
    assert decided.decision is not None
    assert found.decision.thresholds[0].max_error == 0.2
    assert found.decision.thresholds[0].probability < decided.decision.thresholds[0].probability
    assert found.decision.familiarity == decided.decision.familiarity
    assert (found.weights == decided.weights).all()
    assert calibrate(decided)[0].decision == found.decision._replace(thresholds=())


def test_other_images(decided: Checkpoint, digits: Dataset) -> None:
    data = unseen(digits)
    found, report = calibrate(decided, Demands(0.2), data=data)
    assert report.about["images"] == 360
    assert found.held_out_targets is not None
    np.testing.assert_array_equal(found.held_out_targets, digits.test.targets.numpy())
    assert found.provenance["figures"] == decided.provenance["figures"]


def test_images_that_the_model_was_trained_on(decided: Checkpoint, digits: Dataset) -> None:
    with pytest.raises(DataError, match="digits: expected images that the model was not trained on, found training"):
        calibrate(decided, data=digits)


def test_other_labels_and_sizes(decided: Checkpoint, digits: Dataset, tiny: Dataset) -> None:
    data = unseen(digits)
    with pytest.raises(DataError, match=r"expected some of the model's labels '0', '1', '2', …, found also 'dark'"):
        calibrate(decided, data=tiny)
    renamed = dataclasses.replace(tiny, labels=("0", "1", "2"))
    with pytest.raises(DataError, match="expected images of 8 × 8 × 1, found 6 × 5 × 3"):
        calibrate(decided, data=renamed)
    with pytest.raises(ConfigError, match="max_miss: expected a label out of"):
        calibrate(decided, Demands(None, {"ten": 0.1}), data=data)


def test_a_fit_that_held_none_out(checkpoint: Checkpoint, digits: Dataset) -> None:
    with pytest.raises(CheckpointError, match="expected a fit that held images out, found one without"):
        calibrate(checkpoint)
    found, _ = calibrate(checkpoint, data=unseen(digits))
    assert found.decision is not None
    with pytest.raises(CheckpointError, match="expected the checkpoint of a finished fit, found an unfinished one"):
        calibrate(dataclasses.replace(checkpoint, progress={}))


def test_kit_calibrate(run_kit: Kit) -> None:
    options = ["--data", "digits", "--solver", "sgd", "--out", "run", "--max-error", "0.1"]
    assert run_kit("train", *options).exit_code == 0
    before = load_checkpoint("run/model.safetensors")
    result = run_kit("calibrate", "run", "--max-error", "0.2")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "at most 20.00% of these are wrong" in result.stdout
    assert result.stdout.splitlines()[-1] == "wrote run/model.safetensors: export it again"
    after = load_checkpoint("run/model.safetensors")
    assert (after.weights == before.weights).all()
    report, card = (Path("run", name).read_text() for name in ("report.json", "MODEL_CARD.md"))
    assert json.loads(report)["decision"] == after.provenance["decision"]
    assert "decision" not in json.loads(report)["metrics"]
    assert "at most 20.00% of the accepted answers are wrong" in " ".join(card.split())
    assert run_kit("export", "run").exit_code == 0
    assert runtime.load("run/model.onnx").metadata.decision == after.decision
    document = json.loads(run_kit("calibrate", "run", "--json").stdout)
    assert document["decision"]["thresholds"] == []


def test_kit_calibrate_writes_nothing_where_the_images_do_not_suffice(run_kit: Kit) -> None:
    assert run_kit("train", "--data", "digits", "--solver", "sgd", "--out", "run", "--no-report").exit_code == 0
    before = {path: path.read_bytes() for path in Path("run").iterdir()}
    result = run_kit("calibrate", "run", "--max-error", "0.001")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("kit: --max-error 0.001: expected ")
    assert {path: path.read_bytes() for path in Path("run").iterdir()} == before


def test_kit_train_writes_the_run_though_a_demand_is_not_met(run_kit: Kit) -> None:
    result = run_kit("train", "--data", "digits", "--solver", "sgd", "--out", "run", "--max-error", "0.001")
    assert result.exit_code == 1
    assert "wrote run/model.safetensors" in result.stdout
    assert result.stderr.splitlines()[-1].startswith("kit: --max-error 0.001: expected ")
    assert load_checkpoint("run/model.safetensors").progress is None


def test_kit_calibrate_on_a_folder(decided: Checkpoint, digits: Dataset, run_kit: Kit, tmp_path: Path) -> None:
    save_checkpoint(decided, tmp_path / "model.safetensors")
    for number, (image, target) in enumerate(zip(digits.test.images[:200].numpy(), digits.test.targets, strict=False)):
        folder = tmp_path / "others" / str(int(target))
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(folder / f"{number}.png")
    result = run_kit("calibrate", "model.safetensors", "--data", "others", "--max-error", "0.2")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("200 held-out images: ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nothing"], "kit: nothing: expected a checkpoint, found no such file: make one with `kit train`\n"),
        ([], "kit: expected a run under runs/, found none: `kit train` makes one, or name a checkpoint\n"),
    ],
)
def test_kit_calibrate_without_a_run(options: list[str], message: str, run_kit: Kit) -> None:
    result = run_kit("calibrate", *options)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", message)


@pytest.mark.parametrize("text", ["defect", "defect=", "=0.1", "defect=2", "defect=x", "defect=0"])
def test_rates_that_are_none(text: str, run_kit: Kit) -> None:
    result = run_kit("calibrate", "x", "--max-miss", text)
    assert result.exit_code == 2
    assert "expected a label and a rate above 0 and below 1, as defect=0.01" in result.stderr

"""The end of a fit: what is found on held-out images, and that nothing else sees them."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from trainer import Checkpoint, ConfigError, Dataset, FitConfig, fit, load_checkpoint, save_checkpoint
from trainer.decisions.concluding import logits_of, probabilities_of
from trainer.decisions.describing import described, remedy
from trainer.parts import parts_of, settled
from trainer.softmax_regression import softmax

SGD = FitConfig(solver="sgd", device="cpu")


@pytest.fixture(scope="module")
def decided(digits: Dataset) -> Checkpoint:
    return fit(digits, SGD).checkpoint


def test_the_logits_are_the_models(digits: Dataset) -> None:
    result = fit(digits, dataclasses.replace(SGD, calibrate=False))
    logits = torch.from_numpy(logits_of(result.checkpoint, digits.test))
    theirs = result.model.probabilities(digits.test.images[:])
    torch.testing.assert_close(softmax(logits.T).T, theirs, atol=1e-5, rtol=0)
    np.testing.assert_allclose(probabilities_of(result.checkpoint, digits.test), theirs.numpy(), atol=1e-5)


def test_a_fit_that_is_not_sure_enough_is_calibrated(decided: Checkpoint, digits: Dataset) -> None:
    assert decided.decision is not None
    assert 0.3 < decided.decision.temperature < 0.8
    before = probabilities_of(dataclasses.replace(decided, decision=None), digits.test)
    after = probabilities_of(decided, digits.test)
    targets = digits.test.targets.numpy()
    losses = [log_loss(targets, probabilities, labels=range(10)) for probabilities in (before, after)]
    assert losses[1] < losses[0] - 0.05
    assert (before.argmax(axis=1) == after.argmax(axis=1)).all()
    figures = decided.provenance["figures"]
    assert figures["test_loss"] == pytest.approx(losses[1], abs=1e-5)
    assert figures["test_accuracy"] == pytest.approx((after.argmax(axis=1) == targets).mean())


def test_the_held_out_images_do_not_reach_the_fit(digits: Dataset) -> None:
    """Other pixels in their place give the same weights."""
    config = settled(dataclasses.replace(SGD, epochs=2), digits)
    parts = parts_of(digits, config)
    assert parts.held_out is not None
    images, fitted = digits.train.images[:].clone(), parts.train.images[:]
    rows = [row for row in range(len(images)) if not bool((fitted == images[row]).flatten(1).all(1).any())]
    assert len(rows) == len(parts.held_out)
    images[rows] = 255 - images[rows]
    other = dataclasses.replace(digits, train=dataclasses.replace(digits.train, images=images))
    one, two = (fit(data, config).checkpoint for data in (digits, other))
    assert (one.weights == two.weights).all()
    assert (one.bias == two.bias).all()
    assert one.held_out_logits is not None
    assert two.held_out_logits is not None
    assert not np.array_equal(one.held_out_logits, two.held_out_logits)


def test_what_is_written_is_read(decided: Checkpoint, tmp_path: object) -> None:
    path = f"{tmp_path}/model.safetensors"
    save_checkpoint(decided, path)
    found = load_checkpoint(path)
    assert found.decision == decided.decision
    np.testing.assert_array_equal(found.held_out_logits, decided.held_out_logits)
    np.testing.assert_array_equal(found.held_out_targets, decided.held_out_targets)
    assert found.provenance["decision"] == decided.provenance["decision"]
    assert found.to_bytes() == decided.to_bytes()


def test_a_demand(digits: Dataset) -> None:
    result = fit(digits, FitConfig(device="cpu", max_error=0.05))
    assert result.unmet == ()
    decision = result.checkpoint.decision
    assert decision is not None
    (threshold,) = decision.thresholds
    assert (threshold.label, threshold.max_error, threshold.images) == (None, 0.05, 177)
    lines = list(described(decision, result.checkpoint.provenance["decision"]))
    assert lines[0].startswith("266 held-out images: probabilities are calibrated")
    assert "at most 5.00% of these are wrong, with 95% confidence (177 images)" in lines[1]


def test_a_demand_that_is_not_met(digits: Dataset) -> None:
    result = fit(digits, dataclasses.replace(SGD, max_error=0.001, max_miss={"8": 0.01}))
    assert result.finished
    assert result.checkpoint.decision is not None
    assert result.checkpoint.decision.thresholds == ()
    assert [one.demand for one in result.unmet] == ["max_error 0.001", "max_miss 8=0.01"]
    for unmet, option in zip(result.unmet, ("--max-error 0.001", "--max-miss 8=0.01"), strict=True):
        assert remedy(unmet).startswith(f"{option}: expected ")
    assert [one["demand"] for one in result.checkpoint.provenance["decision"]["unmet"]] == [
        "max_error 0.001",
        "max_miss 8=0.01",
    ]


def test_a_label_that_must_not_be_missed(digits: Dataset) -> None:
    result = fit(digits, FitConfig(device="cpu", max_miss={"3": 0.2}))
    assert result.unmet == ()
    decision = result.checkpoint.decision
    assert decision is not None
    assert [one.label for one in decision.thresholds] == ["3"]
    curve = np.array(result.checkpoint.provenance["decision"]["curves"]["3"])
    assert curve.shape[1] == 3
    assert (np.diff(curve[:, 2]) >= 0).all()
    assert curve[-1, 2] == 1


def test_without_calibration_there_is_no_decision(checkpoint: Checkpoint) -> None:
    assert checkpoint.decision is None
    assert "decision" not in checkpoint.provenance
    assert checkpoint.held_out_logits is None


def test_familiarity_needs_images(tiny: Dataset) -> None:
    with pytest.raises(ConfigError, match="familiarity: expected images of at least 6 × 6 pixels, found 6 × 5"):
        fit(tiny, dataclasses.replace(SGD, epochs=1, familiarity=True))

"""Calibration against scikit-learn's temperature scaling and torch's, and when it is left alone."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from trainer.decisions import calibration
from trainer.decisions.calibration import Calibration, Logits, Targets, calibrate, fitted, losses


def sample(count: int, temperature: float = 1.0, classes: int = 4, seed: int = 0) -> tuple[Logits, Targets]:
    """Logits whose probabilities hold, times a temperature."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (count, classes))
    targets = np.array([generator.choice(classes, p=row) for row in softmax(logits, axis=1)])
    return logits * temperature, targets


class Given(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier whose features are its logits."""

    def fit(self, features: Logits, targets: Targets) -> "Given":  # noqa: ARG002 - scikit-learn's call
        self.classes_ = np.unique(targets)
        return self

    def predict(self, features: Logits) -> Targets:
        return np.asarray(features.argmax(axis=1))

    def decision_function(self, features: Logits) -> Logits:
        return features


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_temperature_is_scikit_learns(temperature: float) -> None:
    logits, targets = sample(4000, temperature)
    found = fitted(logits, targets, with_bias=False)
    assert found.bias is None
    given = FrozenEstimator(Given().fit(logits, targets))
    theirs = CalibratedClassifierCV(given, method="temperature").fit(logits, targets).calibrated_classifiers_[0]
    assert found.temperature == pytest.approx(1 / theirs.calibrators[0].beta_, rel=0.01)
    assert found.temperature == pytest.approx(temperature, rel=0.1)


def test_the_prior_holds_few_images_back() -> None:
    """Twenty right answers alone would ask for a temperature of 0."""
    logits = np.eye(4)[np.arange(20) % 4] * 3
    assert 0.5 < fitted(logits, np.arange(20) % 4, with_bias=False).temperature < 1


def test_a_bias_is_found_and_has_mean_0() -> None:
    logits, targets = sample(6000)
    bias = np.array([0.5, -0.5, 1.0, -1.0])
    found = fitted(logits - bias, targets, with_bias=True)
    assert found.bias is not None
    np.testing.assert_allclose(found.bias, bias, atol=0.1)
    assert sum(found.bias) == pytest.approx(0, abs=1e-9)


def test_the_gradient() -> None:
    """The optimum has no lower neighbour, by torch's loss with the same prior."""
    logits, targets = sample(300, 2.0)
    found = fitted(logits, targets, with_bias=True)
    bias = torch.tensor(found.bias)
    parameters = torch.cat([torch.tensor([-np.log(found.temperature)]), bias]).requires_grad_()
    scaled = torch.from_numpy(logits) * parameters[0].exp() + parameters[1:]
    loss = torch.nn.functional.cross_entropy(scaled, torch.from_numpy(targets), reduction="sum")
    (loss + parameters.square().sum() / (2 * calibration.PRIOR**2)).backward()
    assert parameters.grad is not None
    assert float(parameters.grad.abs().max()) < 0.02 * len(targets)


def test_losses_are_torchs() -> None:
    logits, targets = sample(50)
    theirs = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(targets), reduction="none")
    np.testing.assert_allclose(losses(logits, targets), theirs.numpy(), rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_what_holds_is_left_alone(seed: int) -> None:
    assert calibrate(*sample(500, seed=seed)) == Calibration()


@pytest.mark.parametrize("temperature", [0.4, 2.5])
def test_what_does_not_hold_is_calibrated(temperature: float) -> None:
    logits, targets = sample(500, temperature)
    found = calibrate(logits, targets)
    assert found.temperature == pytest.approx(temperature, rel=0.2)
    assert losses(found(logits), targets).mean() < losses(logits, targets).mean()


def test_a_bias_where_it_helps() -> None:
    logits, targets = sample(3000)
    found = calibrate(logits - [0.0, 0.0, 0.0, 2.0], targets)
    assert found.bias is not None
    assert found.bias[3] - found.bias[0] == pytest.approx(2, abs=0.3)


def test_right_answers_alone_say_nothing() -> None:
    logits = np.eye(4)[np.arange(60) % 4] * 6.0
    assert calibrate(logits, np.arange(60) % 4) == Calibration()


def test_too_few_images_say_nothing() -> None:
    assert calibrate(*sample(calibration.FEWEST - 1, 5.0)) == Calibration()

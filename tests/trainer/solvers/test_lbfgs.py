"""L-BFGS, against the optimum that scikit-learn and SciPy find."""

from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import sklearn.linear_model
import sklearn.metrics

from trainer import Dataset, FitConfig, fit
from trainer.start import initial_model


def objective(features: Any, targets: Any, penalty: float, weights: Any, bias: Any) -> tuple[float, Any, Any]:
    """The penalised loss by scikit-learn, and its gradients. features: [N, D]. weights: [K, D]."""
    probabilities = scipy.special.softmax(features @ weights.T + bias, axis=1)
    errors = (probabilities - np.eye(len(bias))[targets]) / len(targets)
    loss = sklearn.metrics.log_loss(targets, probabilities) + penalty / 2 * (weights**2).sum()
    return float(loss), errors.T @ features + penalty * weights, errors.sum(axis=0)


@pytest.mark.parametrize("penalty", [1e-2, 1e-3])
def test_lbfgs_reaches_scikit_learns_optimum(digits: Dataset, penalty: float) -> None:
    model = fit(digits, FitConfig(solver="lbfgs", weight_decay=penalty, device="cpu", calibrate=False)).model
    features, targets = model.features(digits.train.images[:]).double().numpy(), digits.train.targets.numpy()
    theirs = sklearn.linear_model.LogisticRegression(C=1 / (penalty * len(targets)), tol=1e-8, max_iter=5000)
    theirs.fit(features, targets)
    expected, *_ = objective(features, targets, penalty, theirs.coef_, theirs.intercept_)
    found, *_ = objective(features, targets, penalty, model.weights.double().numpy(), model.bias.double().numpy())
    assert found <= expected * (1 + 1e-4)


def test_lbfgs_stops_when_it_is_there(digits: Dataset) -> None:
    result = fit(digits, FitConfig(solver="lbfgs", weight_decay=1.0, device="cpu"))
    assert result.finished
    assert len(result.history) < 200


def test_lbfgs_learns_from_small_steps_too(digits: Dataset) -> None:
    penalty, targets = 0.3, digits.train.targets.numpy()
    config = FitConfig(solver="lbfgs", weight_decay=penalty, device="cpu")
    ours, first = fit(digits, config), initial_model(digits.train, 10, config)
    features = first.features(digits.train.images[:]).double().numpy()

    def flat(parameters: Any) -> tuple[float, Any]:
        value, *slopes = objective(features, targets, penalty, parameters[:-10].reshape(10, -1), parameters[-10:])
        return value, np.concatenate([slope.ravel() for slope in slopes])

    theirs = scipy.optimize.minimize(
        flat,
        np.concatenate([first.weights.flatten(), first.bias]).astype(np.float64),
        jac=True,
        method="L-BFGS-B",
        options={"maxcor": 100, "gtol": 1e-6, "ftol": 0},
    )
    assert theirs.success
    assert len(ours.history) <= 1.1 * theirs.nit + 1

"""SGD as a fit runs it, held to the chapter, and to autograd and torch's optimiser."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from trainer import Dataset, FitConfig, fit
from trainer.data.order import shuffled
from trainer.provenance import balanced_class_weights
from trainer.softmax_regression import sgd, train_epoch
from trainer.solvers.schedules import cosine
from trainer.start import initial_model


@pytest.mark.parametrize("class_weights", ["none", "balanced"])
def test_a_fit_takes_the_steps_of_autograd_and_torchs_optimiser(tiny: Dataset, class_weights: str) -> None:
    config = FitConfig(
        batch_size=32, epochs=3, weight_decay=0.05, class_weights=class_weights, device="cpu", calibrate=False
    )
    model = initial_model(tiny.train, 3, config)
    features, targets = model.features(tiny.train.images[:]), tiny.train.targets
    weights, bias = model.weights.clone().requires_grad_(), model.bias.clone().requires_grad_()
    groups: list[dict[str, Any]] = [{"params": [weights], "weight_decay": 0.05}, {"params": [bias]}]
    optimiser = torch.optim.SGD(groups, lr=config.sgd.lr, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=3 * 4)
    per_class = None if class_weights == "none" else balanced_class_weights(tiny.train, 3)
    for epoch in (1, 2, 3):
        (order,) = shuffled(120, 90, window=2**20, seed=config.seed, epoch=epoch)
        for rows in order.split(32):
            logits = features[rows] @ weights.T + bias
            loss = torch.nn.functional.cross_entropy(logits, targets[rows], weight=per_class, reduction="sum")
            optimiser.zero_grad()
            (loss / len(rows)).backward()
            optimiser.step()
            schedule.step()

    found = fit(tiny, config).model

    torch.testing.assert_close(found.weights, weights.data, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.bias, bias.data, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("class_weights", ["none", "balanced"])
def test_a_fit_takes_the_steps_of_the_chapter(digits: Dataset, class_weights: str) -> None:
    config = FitConfig(
        batch_size=50, epochs=2, weight_decay=0.01, class_weights=class_weights, device="cpu", calibrate=False
    )
    model = initial_model(digits.train, 10, config)
    features, targets = model.features(digits.train.images[:]), digits.train.targets
    weights = balanced_class_weights(digits.train, 10) if class_weights == "balanced" else None
    velocities = torch.zeros_like(model.weights), torch.zeros_like(model.bias)
    rates = cosine(config.sgd.lr, 0, 2 * 29)

    def updater(parameters: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]) -> None:
        lr = next(rates)
        for parameter, gradient, velocity, decay in zip(parameters, gradients, velocities, (0.01, 0), strict=True):
            sgd(parameter, gradient, velocity, lr=lr, momentum=config.sgd.momentum, weight_decay=decay)

    expected = []
    for epoch in (1, 2):
        (order,) = shuffled(len(targets), 64, window=2**20, seed=config.seed, epoch=epoch)
        batches = [(features[rows], targets[rows]) for rows in order.split(50)]
        expected.append(train_epoch(model, batches, updater, class_weights=weights))

    found = fit(digits, config)

    for means, row in zip(expected, found.history, strict=True):
        assert (row.train_loss, row.train_accuracy) == pytest.approx(means, rel=1e-5)
    torch.testing.assert_close(found.model.weights, model.weights, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.model.bias, model.bias, rtol=1e-4, atol=1e-6)

"""Weight decay is chosen by the loss on held-out images."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from trainer.config import Choice
from trainer.solvers.choice import DIRECTIONS, FOLDS, UNKNOWN, Basis, Objective, choose, deal


@pytest.fixture
def drawn() -> tuple[Tensor, Tensor]:
    """Features [300, 12] of three classes that overlap, and their targets."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(300) % 3
    return torch.randn(300, 12, generator=generator) + 0.5 * torch.nn.functional.one_hot(targets, 12), targets


def test_each_class_is_dealt_to_all_parts() -> None:
    targets = torch.tensor([0] * 50 + [1] * 25 + [2] * 3)
    part = deal(targets, FOLDS, seed=1)
    assert [(part[targets == 0] == each).sum() for each in range(FOLDS)] == [10] * FOLDS
    assert [(part[targets == 1] == each).sum() for each in range(FOLDS)] == [5] * FOLDS
    assert part[targets == 2].unique().numel() == 3
    assert torch.equal(part, deal(targets, FOLDS, seed=1))
    assert not torch.equal(part, deal(targets, FOLDS, seed=2))


@pytest.mark.parametrize("shape", [(300, 12), (20, 50), (20, 20)])
def test_a_basis_spans_the_features(shape: tuple[int, int]) -> None:
    features = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    features[:, 0] = 3.0
    features[:, 1] = features[:, 2]
    directions, variances = Basis.of(features)
    torch.testing.assert_close(directions.T @ directions, torch.eye(len(variances)), atol=1e-4, rtol=0)
    torch.testing.assert_close(features @ directions @ directions.T, features, atol=1e-3, rtol=0)
    torch.testing.assert_close(variances, (features @ directions).square().mean(0), rtol=1e-3, atol=1e-4)


def test_a_basis_is_bounded() -> None:
    features = torch.randn(DIRECTIONS + 100, DIRECTIONS + 50, generator=torch.Generator().manual_seed(0))
    assert len(Basis.of(features).variances) <= DIRECTIONS


def test_the_preconditioner_is_the_inverse_of_boehnings_bound(drawn: tuple[Tensor, Tensor]) -> None:
    features, _ = drawn
    gradient = torch.randn(3, 13, generator=torch.Generator().manual_seed(1))
    hessian = features.T @ features / len(features) * 0.5 / 3 + 0.1 * torch.eye(12)
    expected = torch.cat((torch.linalg.solve(hessian, gradient[:, :-1].T).T, gradient[:, -1:] * 6), dim=1)
    torch.testing.assert_close(Basis.of(features).precondition(gradient, 0.1), expected, rtol=1e-3, atol=1e-3)


def test_the_objectives_gradient_is_autograds(drawn: tuple[Tensor, Tensor]) -> None:
    features = torch.cat((drawn[0], torch.ones(300, 1)), dim=1)
    class_weights = torch.tensor([0.5, 1.0, 2.0])
    objective = Objective(features, drawn[1], 3, class_weights)
    objective.decay = 0.3
    parameters = torch.randn(3, 13, generator=torch.Generator().manual_seed(1)).requires_grad_()
    losses = torch.nn.functional.cross_entropy(features @ parameters.T, drawn[1], reduction="none")
    expected = (losses * class_weights[drawn[1]]).mean() + 0.15 * parameters[:, :-1].square().sum()
    expected.backward()
    value, gradient = objective(parameters.detach())
    assert value == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(gradient, parameters.grad, rtol=1e-4, atol=1e-5)


def test_losses_are_those_of_scikit_learn(drawn: tuple[Tensor, Tensor]) -> None:
    features, targets = drawn
    found = choose(features, targets, Basis.of(features), None, 3, seed=0, stop=lambda: False)
    assert found
    choice, part = found[0], deal(targets, FOLDS, 0)
    assert (choice.images, choice.folds) == (300, FOLDS)
    for decay, loss in choice.losses:
        total = 0.0
        for fold in range(FOLDS):
            held = part == fold
            peer = LogisticRegression(C=1 / (decay * int((~held).sum())), max_iter=1000)
            probabilities = peer.fit(features[~held], targets[~held]).predict_proba(features[held])
            total -= np.log(probabilities[np.arange(int(held.sum())), targets[held]]).sum()
        assert loss == pytest.approx(total / 300, rel=0.01)
    losses = [loss for _, loss in choice.losses]
    least = choice.losses[int(np.argmin(losses))][0]
    assert least / 3.2 <= choice.weight_decay <= least * 3.2


def test_it_starts_where_the_folds_ended(drawn: tuple[Tensor, Tensor]) -> None:
    features, targets = drawn
    found = choose(features, targets, Basis.of(features), None, 3, seed=0, stop=lambda: False)
    assert found
    start, objective = found[1], Objective(torch.cat((features, torch.ones(300, 1)), dim=1), targets, 3, None)
    assert objective.loss(start) < 0.99 * objective.loss(torch.zeros_like(start))
    assert start.shape == (3, 13)


def test_many_images_are_split_once() -> None:
    generator = torch.Generator().manual_seed(0)
    features, targets = torch.randn(1600, 4, generator=generator), torch.arange(1600) % 2
    found = choose(features, targets, Basis.of(features), None, 2, seed=0, stop=lambda: False)
    assert found
    assert found[0].folds == 1


@pytest.mark.parametrize("targets", [[0, 1], [0, 0, 0, 1], [0] * 8 + [1, 2]])
def test_classes_of_one_image(targets: list[int]) -> None:
    """Such an image is not held out to be judged by a fit that knows nothing of its class."""
    features = torch.randn(len(targets), 6, generator=torch.Generator().manual_seed(0))
    found = choose(
        features, torch.tensor(targets), Basis.of(features), None, max(targets) + 1, seed=0, stop=lambda: False
    )
    assert found
    assert np.isfinite(found[0].losses).all()
    if targets == [0, 1]:
        assert found[0].weight_decay == UNKNOWN


def test_it_stops_when_asked(drawn: tuple[Tensor, Tensor]) -> None:
    answers = iter([False, False, True])
    assert choose(*drawn, Basis.of(drawn[0]), None, 3, seed=0, stop=lambda: next(answers)) is None
    assert not list(answers)


def test_a_choice_reads_back_from_json() -> None:
    choice = Choice(weight_decay=0.1, epochs=7, batch_size=256, lr=0.01, images=6, folds=1, losses=((1.0, 0.5),))
    assert Choice.of(json.loads(json.dumps(asdict(choice)))) == choice
    assert choice.describe() == (
        "weight decay 0.1, by the loss on held-out images (a fifth of 6 training images); SGD with learning rate 0.01, "
        "batch size 256, at most 7 epochs"
    )


@pytest.mark.parametrize(
    "change", [{"weight_decay": -1.0}, {"weight_decay": float("nan")}, {"epochs": 1.5}, {"losses": [1]}, {"more": 1}]
)
def test_a_forged_choice(change: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        Choice.of(asdict(Choice(weight_decay=0.1)) | change)

"""The chapter, against torch's own functions, autograd and optimiser, and scikit-learn's metrics."""

from collections.abc import Sequence
from functools import partial

import pytest
import sklearn.metrics
import torch
from torch.nn import functional

from trainer.softmax_regression import (
    Accumulator,
    Model,
    accuracy,
    cross_entropy,
    cross_entropy_gradient,
    evaluate,
    initialise,
    one_hot,
    sgd,
    softmax,
    train_epoch,
)

CLASS_WEIGHTS = torch.tensor([0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 0.7])
# Two float32 roundings of values around 1; the functions below differ from torch's in the order of their sums.
close = partial(torch.testing.assert_close, rtol=1e-5, atol=1e-6)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(7, 64, generator=generator()) * 5


@pytest.fixture
def targets() -> torch.Tensor:
    return torch.randint(0, 7, (64,), generator=generator(1))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(0, 256, (64, 4, 3, 1), generator=generator(2), dtype=torch.uint8)


@pytest.fixture
def model() -> Model:
    weights, bias = initialise(12, 7, generator(), std=0.5)
    return Model(weights=weights, bias=bias, mean=torch.tensor([120.0]), std=torch.tensor([70.0]))


def test_initialise_draws_small_normal_weights_and_zero_biases() -> None:
    weights, bias = initialise(784, 10, generator())
    assert weights.shape == (10, 784)
    assert weights.dtype == bias.dtype == torch.float32
    assert float(weights.mean()) == pytest.approx(0, abs=5 * 0.01 / 7840**0.5)
    assert float(weights.std()) == pytest.approx(0.01, rel=0.05)
    assert bias.tolist() == [0] * 10


def test_softmax_is_torchs(logits: torch.Tensor) -> None:
    close(softmax(logits), torch.softmax(logits, dim=0))


@pytest.mark.parametrize("scale", [1e4, 1e30, 3e38])
def test_softmax_is_stable_for_any_finite_logits(scale: float) -> None:
    extreme = torch.tensor([[scale, -scale, 0.0], [-scale, -scale, -scale]]).T
    third = pytest.approx(1 / 3)
    assert softmax(extreme).T.tolist() == [[1, 0, 0], [third, third, third]]


def test_softmax_leaves_its_input_alone(logits: torch.Tensor) -> None:
    before = logits.clone()
    softmax(logits)
    assert torch.equal(logits, before)


def test_cross_entropy_is_torchs(logits: torch.Tensor, targets: torch.Tensor) -> None:
    close(cross_entropy(logits, targets), functional.cross_entropy(logits.T, targets))


def test_cross_entropy_is_finite_where_the_probability_is_not_representable() -> None:
    assert float(cross_entropy(torch.tensor([[1000.0], [0.0]]), torch.tensor([1]))) == 1000


def test_cross_entropy_of_images_far_apart_is_torchs(logits: torch.Tensor, targets: torch.Tensor) -> None:
    apart = logits + 1000 * (torch.arange(64) % 2)
    close(cross_entropy(apart, targets), functional.cross_entropy(apart.T, targets))


def test_gradient_is_autograds(logits: torch.Tensor, targets: torch.Tensor) -> None:
    variable = logits.clone().requires_grad_()
    functional.cross_entropy(variable.T, targets).backward()
    close(cross_entropy_gradient(softmax(logits), one_hot(targets, 7)), variable.grad)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_steps_as_torchs_optimiser(momentum: float) -> None:
    ours = [torch.randn(5, 3, generator=generator()), torch.randn(3, generator=generator(1))]
    theirs = [torch.nn.Parameter(parameter.clone()) for parameter in ours]
    groups = [{"params": [theirs[0]], "weight_decay": 0.01}, {"params": [theirs[1]], "weight_decay": 0.0}]
    optimiser = torch.optim.SGD(groups, lr=0.1, momentum=momentum)
    velocities = [torch.zeros_like(parameter) for parameter in ours]
    for step in range(5):
        gradients = [torch.randn(parameter.shape, generator=generator(step)) for parameter in ours]
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = gradient.clone()
        optimiser.step()
        for mine, gradient, velocity, decay in zip(ours, gradients, velocities, (0.01, 0.0), strict=True):
            sgd(mine, gradient, velocity, lr=0.1, momentum=momentum, weight_decay=decay)
    for mine, other in zip(ours, theirs, strict=True):
        close(mine, other.data)


def test_class_weights_are_torchs(logits: torch.Tensor, targets: torch.Tensor) -> None:
    weights = CLASS_WEIGHTS
    variable = logits.clone().requires_grad_()
    expected = functional.cross_entropy(variable.T, targets, weight=weights, reduction="sum") / len(targets)
    expected.backward()
    close(cross_entropy(logits, targets, weights), expected.detach())
    close(cross_entropy_gradient(softmax(logits), one_hot(targets, 7), weights), variable.grad)


def test_accuracy_is_scikit_learns(logits: torch.Tensor, targets: torch.Tensor) -> None:
    expected = sklearn.metrics.accuracy_score(targets.numpy(), logits.argmax(dim=0).numpy())
    assert float(accuracy(logits, targets)) == pytest.approx(expected)


def test_of_several_largest_the_first_is_the_answer() -> None:
    tied = torch.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [-1.0, -5.0, -1.0]]).T
    for label, share in enumerate((2 / 3, 1 / 3, 0)):
        assert float(accuracy(tied, torch.full((3,), label))) == pytest.approx(share)


def test_features_are_the_normalised_pixels_in_row_order(model: Model, images: torch.Tensor) -> None:
    expected = ((images.double() - 120) / 70).reshape(64, 12).float()
    close(model.features(images), expected)


def test_train_epoch_is_an_epoch_of_autograd_and_torchs_optimiser(
    model: Model, images: torch.Tensor, targets: torch.Tensor
) -> None:
    batches = list(zip(images.split(10), targets.split(10), strict=True))
    linear = torch.nn.Linear(12, 7)
    linear.weight.data, linear.bias.data = model.weights.clone(), model.bias.clone()
    optimiser = torch.optim.SGD(linear.parameters(), lr=0.1)
    total_loss = total_correct = 0.0
    for batch_images, batch_targets in batches:
        outputs = linear((batch_images.float().flatten(1) - 120) / 70)
        loss = functional.cross_entropy(outputs, batch_targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total_loss += loss.item() * len(batch_targets)
        total_correct += int((outputs.argmax(dim=1) == batch_targets).sum())

    velocities = [torch.zeros_like(model.weights), torch.zeros_like(model.bias)]
    rows = [(model.features(some), classes) for some, classes in batches]

    def updater(parameters: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]) -> None:
        for parameter, gradient, velocity in zip(parameters, gradients, velocities, strict=True):
            sgd(parameter, gradient, velocity, lr=0.1)

    found = train_epoch(model, rows, updater)

    assert found == pytest.approx((total_loss / 64, total_correct / 64), rel=1e-5)
    torch.testing.assert_close(model.weights, linear.weight.data, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.bias, linear.bias.data, rtol=1e-4, atol=1e-5)


def test_evaluate_is_scikit_learns_log_loss_and_accuracy(
    model: Model, images: torch.Tensor, targets: torch.Tensor
) -> None:
    probabilities = model.probabilities(images).double().numpy()
    loss = sklearn.metrics.log_loss(
        targets.numpy(), probabilities / probabilities.sum(1, keepdims=True), labels=range(7)
    )
    share = sklearn.metrics.accuracy_score(targets.numpy(), probabilities.argmax(axis=1))
    for size in (64, 10, 1):
        rows = zip(model.features(images).split(size), targets.split(size), strict=True)
        assert evaluate(model, rows) == pytest.approx((loss, share), rel=1e-5)


def test_the_gradient_of_one_image(logits: torch.Tensor, targets: torch.Tensor) -> None:
    variable = logits[:, :1].clone().requires_grad_()
    functional.cross_entropy(variable.T, targets[:1]).backward()
    close(cross_entropy_gradient(softmax(logits[:, :1]), one_hot(targets[:1], 7)), variable.grad)


def test_initialise_draws_from_the_generator() -> None:
    first, second, other = (initialise(12, 7, generator(seed))[0] for seed in (3, 3, 4))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_the_gradient_of_no_images_is_empty() -> None:
    assert cross_entropy_gradient(torch.empty(3, 0), one_hot(torch.empty(0, dtype=torch.int64), 3)).shape == (3, 0)


def test_sgd_without_momentum_and_weight_decay_is_the_plain_step() -> None:
    parameter, velocity = torch.ones(3), torch.full((3,), 5.0)
    sgd(parameter, torch.full((3,), 2.0), velocity, lr=0.25)
    assert (parameter.tolist(), velocity.tolist()) == ([0.5] * 3, [2.0] * 3)


def test_initialise_takes_another_spread() -> None:
    weights, _ = initialise(784, 10, generator(), std=3.0)
    assert float(weights.std()) == pytest.approx(3.0, rel=0.05)


def test_a_model_in_double_precision(model: Model, images: torch.Tensor) -> None:
    double = model.to(torch.float64)
    assert {name: tensor.dtype for name, tensor in double.tensors().items()} == dict.fromkeys(
        ("weights", "bias", "mean", "std"), torch.float64
    )
    assert double.probabilities(images).dtype == torch.float64
    torch.testing.assert_close(double.probabilities(images).float(), model.probabilities(images))


def test_one_hot_is_torchs(targets: torch.Tensor) -> None:
    assert torch.equal(one_hot(targets, 7), functional.one_hot(targets, 7).T.float())


@pytest.mark.parametrize("class_weights", [None, CLASS_WEIGHTS])
def test_accumulator_sums_loss_correct_predictions_and_images(
    logits: torch.Tensor, targets: torch.Tensor, class_weights: torch.Tensor | None
) -> None:
    sums = Accumulator(class_weights)
    for _ in range(3):
        sums.add(logits, targets)
    loss = float(functional.cross_entropy(logits.T, targets, weight=class_weights, reduction="sum"))
    correct = sklearn.metrics.accuracy_score(targets.numpy(), logits.argmax(dim=0).numpy(), normalize=False)
    assert (sums.loss, sums.correct, sums.images) == pytest.approx((3 * loss, 3 * correct, 192), rel=1e-5)
    assert sums.means() == pytest.approx((loss / 64, correct / 64), rel=1e-5)


def test_train_epoch_weights_images_by_class(model: Model, images: torch.Tensor, targets: torch.Tensor) -> None:
    """One minibatch, and what autograd has for the weighted loss."""
    features = model.features(images)
    weights, bias = model.weights.clone().requires_grad_(), model.bias.clone().requires_grad_()
    outputs = features @ weights.T + bias
    loss = functional.cross_entropy(outputs, targets, weight=CLASS_WEIGHTS, reduction="sum") / len(targets)
    loss.backward()
    found: list[torch.Tensor] = []
    mean, _ = train_epoch(
        model, [(features, targets)], lambda _, given: found.extend(given), class_weights=CLASS_WEIGHTS
    )
    assert mean == pytest.approx(loss.item(), rel=1e-5)
    close(found[0], weights.grad)
    close(found[1], bias.grad)

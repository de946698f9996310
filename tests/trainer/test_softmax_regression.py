"""The maths, against torch's own functions, autograd and optimiser, and scikit-learn's metrics."""

from functools import partial

import pytest
import sklearn.metrics
import torch
from torch.nn import functional

from trainer.distributed import Group
from trainer.softmax_regression import (
    Accumulator,
    Model,
    accuracy,
    cross_entropy,
    cross_entropy_gradient,
    evaluate,
    gradients,
    initialise,
    sgd,
    softmax,
    train_epoch,
)

# Two float32 roundings of values around 1; the functions below differ from torch's in the order of their sums.
close = partial(torch.testing.assert_close, rtol=1e-5, atol=1e-6)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(64, 7, generator=generator()) * 5


@pytest.fixture
def labels() -> torch.Tensor:
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
    assert weights.shape == (784, 10)
    assert weights.dtype == bias.dtype == torch.float32
    assert float(weights.mean()) == pytest.approx(0, abs=5 * 0.01 / 7840**0.5)
    assert float(weights.std()) == pytest.approx(0.01, rel=0.05)
    assert bias.tolist() == [0] * 10


def test_softmax_is_torchs(logits: torch.Tensor) -> None:
    close(softmax(logits), torch.softmax(logits, dim=1))


@pytest.mark.parametrize("scale", [1e4, 1e30, 3e38])
def test_softmax_is_stable_for_any_finite_logits(scale: float) -> None:
    extreme = torch.tensor([[scale, -scale, 0.0], [-scale, -scale, -scale]])
    third = pytest.approx(1 / 3)
    assert softmax(extreme).tolist() == [[1, 0, 0], [third, third, third]]


def test_softmax_leaves_its_input_alone(logits: torch.Tensor) -> None:
    before = logits.clone()
    softmax(logits)
    assert torch.equal(logits, before)


def test_cross_entropy_is_torchs(logits: torch.Tensor, labels: torch.Tensor) -> None:
    close(cross_entropy(logits, labels), functional.cross_entropy(logits, labels))


def test_cross_entropy_is_finite_where_the_probability_is_not_representable() -> None:
    assert float(cross_entropy(torch.tensor([[1000.0, 0.0]]), torch.tensor([1]))) == 1000


def test_cross_entropy_of_images_far_apart_is_torchs(logits: torch.Tensor, labels: torch.Tensor) -> None:
    apart = logits + 1000 * (torch.arange(len(logits)) % 2)[:, None]
    close(cross_entropy(apart, labels), functional.cross_entropy(apart, labels))


def test_gradient_is_autograds(logits: torch.Tensor, labels: torch.Tensor) -> None:
    variable = logits.clone().requires_grad_()
    functional.cross_entropy(variable, labels).backward()
    close(cross_entropy_gradient(softmax(logits), labels), variable.grad)


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
        sgd(ours, gradients, velocities, lr=0.1, momentum=momentum, weight_decay=(0.01, 0.0))
    for mine, other in zip(ours, theirs, strict=True):
        close(mine, other.data)


@pytest.mark.parametrize("count", [1, 16, 40])
def test_accumulator_sums_loss_right_answers_and_images(logits: torch.Tensor, labels: torch.Tensor, count: int) -> None:
    sums = Accumulator(10.0, 2.0, 3.0)
    for _ in range(count):
        sums.add(logits, labels)
    loss = float(functional.cross_entropy(logits, labels, reduction="sum"))
    correct = sklearn.metrics.accuracy_score(labels.numpy(), logits.argmax(dim=1).numpy(), normalize=False)
    expected = 10 + count * loss, 2 + count * correct, 3 + count * 64
    assert sums.sums() == pytest.approx(expected, rel=1e-5)
    assert sums.means() == pytest.approx((expected[0] / expected[2], expected[1] / expected[2]), rel=1e-5)


def test_class_weights_are_torchs(logits: torch.Tensor, labels: torch.Tensor) -> None:
    weights = torch.tensor([0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 0.7])
    variable = logits.clone().requires_grad_()
    expected = functional.cross_entropy(variable, labels, weight=weights, reduction="sum") / len(labels)
    expected.backward()
    close(cross_entropy(logits, labels, weights), expected.detach())
    close(cross_entropy_gradient(softmax(logits), labels, weights), variable.grad)


def test_accuracy_is_scikit_learns(logits: torch.Tensor, labels: torch.Tensor) -> None:
    expected = sklearn.metrics.accuracy_score(labels.numpy(), logits.argmax(dim=1).numpy())
    assert float(accuracy(logits, labels)) == pytest.approx(expected)


def test_of_several_largest_the_first_is_the_answer() -> None:
    tied = torch.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [-1.0, -5.0, -1.0]])
    for label, share in enumerate((2 / 3, 1 / 3, 0)):
        assert float(accuracy(tied, torch.full((3,), label))) == pytest.approx(share)


@pytest.mark.parametrize("class_weights", [None, "some"])
def test_the_classes_may_come_first(
    model: Model, images: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor, class_weights: str | None
) -> None:
    weights = CLASS_WEIGHTS if class_weights else None
    probabilities, turned = softmax(logits), logits.T.contiguous()
    close(softmax(turned, dim=0), probabilities.T)
    close(cross_entropy(turned, labels, weights, dim=0), cross_entropy(logits, labels, weights))
    assert accuracy(turned, labels, dim=0) == accuracy(logits, labels)
    gradient = cross_entropy_gradient(probabilities, labels, weights)
    close(cross_entropy_gradient(probabilities.T.contiguous(), labels, weights, dim=0), gradient.T)
    rows, columns = Accumulator(class_weights=weights), Accumulator(class_weights=weights)
    rows.add(logits, labels)
    columns.add(turned, labels, dim=0)
    assert columns.sums() == pytest.approx(rows.sums())
    features = model.features(images)
    assert torch.equal(model.logits(features, dim=0), model.logits(features).T)


def test_features_are_the_normalised_pixels_in_row_order(model: Model, images: torch.Tensor) -> None:
    expected = ((images.double() - 120) / 70).reshape(64, 12).float()
    close(model.features(images), expected)


def test_train_epoch_is_an_epoch_of_autograd_and_torchs_optimiser(
    model: Model, images: torch.Tensor, labels: torch.Tensor
) -> None:
    batches = list(zip(images.split(10), labels.split(10), strict=True))
    linear = torch.nn.Linear(12, 7)
    linear.weight.data, linear.bias.data = model.weights.T.clone(), model.bias.clone()
    optimiser = torch.optim.SGD(linear.parameters(), lr=0.1)
    total_loss = total_correct = 0.0
    for batch_images, batch_labels in batches:
        outputs = linear((batch_images.float().flatten(1) - 120) / 70)
        loss = functional.cross_entropy(outputs, batch_labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total_loss += loss.item() * len(batch_labels)
        total_correct += int((outputs.argmax(dim=1) == batch_labels).sum())

    velocities = [torch.zeros_like(model.weights), torch.zeros_like(model.bias)]
    rows = [(model.features(some), classes) for some, classes in batches]
    found = train_epoch(model, rows, lambda p, g: sgd(p, g, velocities, lr=0.1))

    assert found == pytest.approx((total_loss / 64, total_correct / 64), rel=1e-5)
    torch.testing.assert_close(model.weights, linear.weight.data.T, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.bias, linear.bias.data, rtol=1e-4, atol=1e-5)


def test_evaluate_is_scikit_learns_log_loss_and_accuracy(
    model: Model, images: torch.Tensor, labels: torch.Tensor
) -> None:
    probabilities = model.probabilities(images).double().numpy()
    loss = sklearn.metrics.log_loss(
        labels.numpy(), probabilities / probabilities.sum(1, keepdims=True), labels=range(7)
    )
    share = sklearn.metrics.accuracy_score(labels.numpy(), probabilities.argmax(axis=1))
    for size in (64, 10, 1):
        rows = zip(model.features(images).split(size), labels.split(size), strict=True)
        assert evaluate(model, rows) == pytest.approx((loss, share), rel=1e-5)


CLASS_WEIGHTS = torch.tensor([0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 0.7])


class Twins(Group):
    """Two processes that see the same images; this is one of them."""

    def __init__(self) -> None:
        super().__init__(rank=0, size=2)

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        assert tensor.dtype == torch.float64
        return tensor.mul_(2)


@pytest.mark.parametrize("class_weights", [None, CLASS_WEIGHTS])
def test_gradients_are_autograds(
    model: Model, images: torch.Tensor, labels: torch.Tensor, class_weights: torch.Tensor | None
) -> None:
    features, sums = model.features(images), Accumulator()
    weights, bias = model.weights.clone().requires_grad_(), model.bias.clone().requires_grad_()
    loss = functional.cross_entropy(features @ weights + bias, labels, weight=class_weights, reduction="sum")
    (loss / len(labels)).backward()
    of_labels = functional.one_hot(labels, 7).T / -64
    for known in ((), (of_labels,)):
        found = gradients(model, features, labels, sums, class_weights, *known)
        close(found[0], weights.grad)
        close(found[1], bias.grad)
    assert sums.sums()[2] == 128


def test_what_is_known_of_the_labels_is_not_made_again(
    model: Model, images: torch.Tensor, labels: torch.Tensor
) -> None:
    features = model.features(images)
    weights, bias = gradients(model, features, labels, Accumulator(), None, torch.zeros(7, 64))
    probabilities = model.probabilities(images)
    close(weights, features.T @ probabilities / 64)
    close(bias, probabilities.mean(0))


def test_the_gradient_of_one_image(logits: torch.Tensor, labels: torch.Tensor) -> None:
    variable = logits[:1].clone().requires_grad_()
    functional.cross_entropy(variable, labels[:1]).backward()
    close(cross_entropy_gradient(softmax(logits[:1]), labels[:1]), variable.grad)


def test_initialise_draws_from_the_generator() -> None:
    first, second, other = (initialise(12, 7, generator(seed))[0] for seed in (3, 3, 4))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_the_gradient_of_no_images_is_empty() -> None:
    none = cross_entropy_gradient(torch.empty(0, 3), torch.empty(0, dtype=torch.int64))
    assert none.shape == (0, 3)


def test_sgd_without_momentum_and_weight_decay_is_the_plain_step() -> None:
    parameters, velocities = [torch.ones(3), torch.ones(2)], [torch.full((3,), 5.0), torch.full((2,), 5.0)]
    sgd(parameters, [torch.full((3,), 2.0), torch.full((2,), 4.0)], velocities, lr=0.25)
    assert [parameter.tolist() for parameter in parameters] == [[0.5] * 3, [0.0] * 2]
    assert [velocity.tolist() for velocity in velocities] == [[2.0] * 3, [4.0] * 2]


@pytest.mark.parametrize("short", ["gradients", "velocities", "weight_decay"])
def test_sgd_takes_as_many_of_each(short: str) -> None:
    several = {name: [torch.ones(3), torch.ones(2)] for name in ("parameters", "gradients", "velocities")}
    arguments = {**several, "weight_decay": (0.0, 0.0)}
    arguments[short] = arguments[short][:1]
    with pytest.raises(ValueError, match="shorter"):
        sgd(**arguments, lr=0.1)  # type: ignore[arg-type]


def test_initialise_takes_another_spread() -> None:
    weights, _ = initialise(784, 10, generator(), std=3.0)
    assert float(weights.std()) == pytest.approx(3.0, rel=0.05)
    assert weights.T.is_contiguous(), "a class's weights lie side by side"


def test_features_are_written_where_they_are_to_go(model: Model, images: torch.Tensor) -> None:
    rows = torch.empty(64, 12)
    assert model.features(images, rows) is rows
    close(rows, model.features(images))


def test_a_model_in_double_precision(model: Model, images: torch.Tensor) -> None:
    double = model.to(torch.float64)
    assert {name: tensor.dtype for name, tensor in double.tensors().items()} == dict.fromkeys(
        ("weights", "bias", "mean", "std"), torch.float64
    )
    assert double.probabilities(images).dtype == torch.float64
    torch.testing.assert_close(double.probabilities(images).float(), model.probabilities(images))


def test_the_accumulator_begins_at_nothing_and_takes_empty_minibatches(
    logits: torch.Tensor, labels: torch.Tensor
) -> None:
    sums = Accumulator()
    assert sums.sums() == (0, 0, 0)
    sums.add(logits[:0], labels[:0])
    assert sums.sums() == (0, 0, 0)
    sums.add(logits, labels)
    assert sums.sums()[2] == 64
    assert sums.sums()[2] == 64, "reading changes nothing"


def test_the_accumulator_weighs_the_loss_by_class_and_counts_images_alike(
    logits: torch.Tensor, labels: torch.Tensor
) -> None:
    sums = Accumulator(class_weights=CLASS_WEIGHTS)
    sums.add(logits, labels)
    loss = float(functional.cross_entropy(logits, labels, weight=CLASS_WEIGHTS, reduction="sum"))
    correct = float((logits.argmax(dim=1) == labels).sum())
    assert sums.sums() == pytest.approx((loss, correct, 64), rel=1e-5)


def test_the_accumulator_keeps_few_minibatches(logits: torch.Tensor, labels: torch.Tensor) -> None:
    """64 are summed up at once, so that what is kept has a bound."""
    sums = Accumulator()
    for count in range(1, 200):
        sums.add(logits, labels)
        assert len(sums._kept) == count % 64


def test_the_accumulator_sums_over_the_processes(logits: torch.Tensor, labels: torch.Tensor) -> None:
    alone, together = Accumulator(), Accumulator(group=Twins())
    for sums in (alone, together):
        sums.add(logits, labels)
    assert together.sums() == pytest.approx([2 * value for value in alone.sums()])
    assert together.means() == pytest.approx(alone.means())

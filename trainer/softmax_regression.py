"""Softmax regression, written out: the model, its loss and gradient, the updater, and one epoch of training.

With x an image's normalised pixels, the model is softmax(x·W + b); see Bishop, Pattern Recognition and Machine
Learning, 4.3.4, for the model, its cross-entropy and the gradient. N images, D pixel values an image, K classes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Model:
    """Softmax regression on raw images.

    weights: float32 [D, K]. bias: float32 [K]. mean, std: float32 [C], of the training pixels, in units of 0-255.
    """

    weights: Tensor
    bias: Tensor
    mean: Tensor
    std: Tensor

    def features(self, images: Tensor) -> Tensor:
        """Normalise pixels and lay each image out as a row: uint8 [N, H, W, C] → float32 [N, D]."""
        return images.to(torch.float32).sub_(self.mean).div_(self.std).flatten(1)

    def logits(self, features: Tensor) -> Tensor:
        """float32 [N, D] → float32 [N, K]."""
        return torch.addmm(self.bias, features, self.weights)

    def probabilities(self, images: Tensor) -> Tensor:
        """uint8 [N, H, W, C] → float32 [N, K], rows sum to 1."""
        return softmax(self.logits(self.features(images)))

    def to(self, device: torch.device | str) -> "Model":
        """Return the same model with its tensors on `device`."""
        return replace(self, **{name: tensor.to(device) for name, tensor in vars(self).items()})


def initialise(features: int, classes: int, generator: torch.Generator, std: float = 0.01) -> tuple[Tensor, Tensor]:
    """Draw weights [features, classes] from N(0, std²); biases [classes] are 0. Both float32, on the CPU."""
    return torch.randn(features, classes, generator=generator) * std, torch.zeros(classes)


def softmax(logits: Tensor) -> Tensor:
    """exp(z) / Σ exp(z) along each row, stable for any finite logits.

    logits: [N, K]. Returns [N, K], rows sum to 1. Subtracting the row's maximum changes nothing but keeps exp finite.
    """
    exponentials = (logits - logits.amax(dim=1, keepdim=True)).exp_()  # [N, K], the largest is 1
    return exponentials.div_(exponentials.sum(dim=1, keepdim=True))


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of −log softmax(logits) at the true labels, in nats.

    logits: [N, K]. labels: int64 [N], in 0..K-1. Returns a scalar. Taken from the logits, not from the probabilities,
    so that a probability too small for float32 still has a finite logarithm.
    """
    shifted = logits - logits.amax(dim=1, keepdim=True)  # [N, K]
    log_sums = shifted.exp().sum(dim=1).log_()  # [N]
    return (log_sums - shifted.gather(1, labels[:, None])[:, 0]).mean()


def cross_entropy_gradient(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Gradient of the mean cross-entropy with respect to the logits: (softmax − onehot) / N.

    probabilities: [N, K], rows sum to 1. labels: int64 [N], in 0..K-1. Returns [N, K].
    """
    gradient = probabilities.clone()  # [N, K]
    gradient[torch.arange(len(labels), device=labels.device), labels] -= 1  # softmax − onehot
    return gradient.div_(len(labels))


def sgd(
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor],
    velocities: Sequence[Tensor],
    *,
    lr: float,
    momentum: float = 0.0,
    weight_decay: Sequence[float] = (0.0, 0.0),
) -> None:
    """Take one step of stochastic gradient descent with momentum, in place.

    v ← momentum · v + gradient + λ · parameter;  parameter ← parameter − lr · v. weight_decay holds λ for each
    parameter; λ/2 · ‖W‖² is what it adds to the objective. The form of Sutskever et al. 2013 that torch.optim.SGD uses.
    """
    for parameter, gradient, velocity, decay in zip(parameters, gradients, velocities, weight_decay, strict=True):
        velocity.mul_(momentum).add_(gradient)
        if decay:
            velocity.add_(parameter, alpha=decay)
        parameter.sub_(velocity, alpha=lr)


class Accumulator:
    """Sums over minibatches. The sums stay on the device they come from until they are read."""

    def __init__(self, count: int) -> None:
        self._sums: list[Tensor | float] = [0.0] * count

    def add(self, *values: Tensor | float) -> None:
        """Add one value to each sum."""
        self._sums = [total + value for total, value in zip(self._sums, values, strict=True)]

    def __getitem__(self, index: int) -> float:
        return float(self._sums[index])


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of rows whose largest entry is at the true label: [N, K] and int64 [N] → scalar in 0-1."""
    return (logits.argmax(dim=1) == labels).to(torch.float32).mean()


Batches = Iterable[tuple[Tensor, Tensor]]
Updater = Callable[[Sequence[Tensor], Sequence[Tensor]], None]


def train_epoch(model: Model, batches: Batches, updater: Updater) -> tuple[float, float]:
    """Go once through the minibatches, updating the model's weights and bias in place after each.

    batches: pairs of uint8 images [B, H, W, C] and int64 labels [B]. updater: called with the parameters and their
    gradients. Returns the mean loss in nats and the accuracy over the epoch, each minibatch seen before its update.
    """
    sums = Accumulator(3)  # loss, correct, images
    for images, labels in batches:
        features = model.features(images)  # [B, D]
        logits = model.logits(features)  # [B, K]
        sums.add(cross_entropy(logits, labels) * len(labels), accuracy(logits, labels) * len(labels), len(labels))
        gradient = cross_entropy_gradient(softmax(logits), labels)  # [B, K]
        updater((model.weights, model.bias), (features.T @ gradient, gradient.sum(dim=0)))
    return sums[0] / sums[2], sums[1] / sums[2]


def evaluate(model: Model, batches: Batches) -> tuple[float, float]:
    """Mean loss in nats and accuracy of the model over all minibatches, which are as for `train_epoch`."""
    sums = Accumulator(3)  # loss, correct, images
    for images, labels in batches:
        logits = model.logits(model.features(images))
        sums.add(cross_entropy(logits, labels) * len(labels), accuracy(logits, labels) * len(labels), len(labels))
    return sums[0] / sums[2], sums[1] / sums[2]

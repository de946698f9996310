"""Softmax regression: the model, its loss and gradient, the optimiser step, and one epoch of training.

The model is softmax(W·x + b), with x an image's standardised pixels: Bishop, Pattern Recognition and Machine Learning,
4.3.4. N images, D pixel values an image, K classes. Images are rows, [N, D]. Everywhere else classes come first: W is
[K, D], b [K], and logits, probabilities and one-hot targets are [K, N].
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeAlias

import torch
from torch import Tensor

Batches: TypeAlias = Iterable[tuple[Tensor, Tensor]]
Updater: TypeAlias = Callable[[Sequence[Tensor], Sequence[Tensor]], None]


@dataclass(frozen=True, kw_only=True)
class Model:
    """Softmax regression on raw images. All float32.

    weights: [K, D].
    bias: [K].
    mean, std: what standardises the pixels, in units of 0-255: the mean and standard deviation of each channel, [C], or
        a centre and scale of each pixel value, [H, W, C]; or a centre and scale of each feature, [1, 1, D].
    """

    weights: Tensor
    bias: Tensor
    mean: Tensor
    std: Tensor

    def features(self, images: Tensor) -> Tensor:
        """Standardise pixels or features: [N, H, W, C] → [N, D], of the weights' dtype."""
        return ((images - self.mean) / self.std).flatten(1)

    def logits(self, features: Tensor) -> Tensor:
        """W·xᵀ + b: [N, D] → [K, N]."""
        return torch.addmm(self.bias[:, None], self.weights, features.T)

    def probabilities(self, images: Tensor) -> Tensor:
        """uint8 [N, H, W, C] → float32 [N, K], rows sum to 1."""
        return softmax(self.logits(self.features(images))).T

    def to(self, target: torch.device | torch.dtype | str) -> "Model":
        """Return the same model with its tensors on another device, or of another dtype."""
        return replace(self, **{name: tensor.to(target) for name, tensor in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """The four tensors by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def initialise(features: int, classes: int, generator: torch.Generator, std: float = 0.01) -> tuple[Tensor, Tensor]:
    """Draw weights [classes, features] from N(0, std²); biases [classes] are 0. Both float32, on the CPU."""
    return torch.randn(classes, features, generator=generator) * std, torch.zeros(classes)


def softmax(logits: Tensor) -> Tensor:
    """exp(z) / Σ exp(z) over the classes: [K, N] → [K, N], columns sum to 1."""
    exponentials = (logits - logits.amax(0)).exp_()  # [K, N], at most 1: the shift cancels and keeps exp finite
    return exponentials.div_(exponentials.sum(0))


def cross_entropy(logits: Tensor, targets: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Mean of −log softmax(logits) at the targets, in nats; finite even where float32 rounds a probability to 0.

    logits: [K, N].
    targets: int64 [N], in 0..K-1.
    class_weights: [K], the weight of each class's images; None for 1.
    """
    shifted = logits - logits.amax(0)  # [K, N]
    losses = shifted.exp().sum(0).log() - shifted.gather(0, targets[None])[0]  # [N]
    return losses.mean() if class_weights is None else (losses * class_weights[targets]).mean()


def one_hot(targets: Tensor, classes: int) -> Tensor:
    """Y, 1 at each image's target and 0 elsewhere: int64 [N] → float32 [K, N]."""
    return torch.zeros(classes, len(targets), device=targets.device).scatter_(0, targets[None], 1)


def cross_entropy_gradient(probabilities: Tensor, onehot: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Gradient of the mean cross-entropy with respect to the logits: (Ŷ − Y) / N, [K, N].

    probabilities, onehot: Ŷ and Y, [K, N].
    class_weights: as for `cross_entropy`.
    """
    error = (probabilities - onehot).div_(onehot.shape[1])
    return error if class_weights is None else error * (class_weights @ onehot)


def sgd(
    parameter: Tensor, gradient: Tensor, velocity: Tensor, *, lr: float, momentum: float = 0, weight_decay: float = 0
) -> None:
    """Take one step of stochastic gradient descent with momentum, in place, as torch.optim.SGD does.

    v ← momentum · v + gradient + weight_decay · parameter;  parameter ← parameter − lr · v (Sutskever et al. 2013).
    """
    torch.add(gradient, velocity, alpha=momentum, out=velocity)
    if weight_decay:
        velocity.add_(parameter, alpha=weight_decay)
    parameter.sub_(velocity, alpha=lr)


def accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    """Share of images whose largest logit, the first of equal ones, is at the target: [K, N], int64 [N] → 0-1."""
    return (logits.argmax(0) == targets).float().mean()


class Accumulator:
    """Sums over minibatches of the loss, of the correct predictions, and of the images."""

    def __init__(self, class_weights: Tensor | None = None) -> None:
        self.loss = self.correct = self.images = 0.0
        self._class_weights = class_weights

    def add(self, logits: Tensor, targets: Tensor) -> None:
        """Add a minibatch: logits [K, B], targets int64 [B]."""
        self.loss += float(cross_entropy(logits, targets, self._class_weights)) * len(targets)
        self.correct += float(accuracy(logits, targets)) * len(targets)
        self.images += len(targets)

    def means(self) -> tuple[float, float]:
        """Mean loss and accuracy."""
        return self.loss / self.images, self.correct / self.images


@torch.inference_mode()
def train_epoch(
    model: Model, batches: Batches, updater: Updater, *, class_weights: Tensor | None = None
) -> tuple[float, float]:
    """Update the model in place after each minibatch; return mean loss in nats and accuracy, each before its update.

    batches: features [B, D] and int64 targets [B].
    updater: called with (W, b) and their gradients.
    class_weights: as for `cross_entropy`.
    """
    sums = Accumulator(class_weights)
    for features, targets in batches:
        logits = model.logits(features)  # [K, B]
        sums.add(logits, targets)
        error = cross_entropy_gradient(softmax(logits), one_hot(targets, len(logits)), class_weights)  # [K, B]
        updater((model.weights, model.bias), (error @ features, error.sum(1)))
    return sums.means()


@torch.inference_mode()
def evaluate(model: Model, batches: Batches) -> tuple[float, float]:
    """Mean loss in nats and accuracy over all minibatches: features [B, D] and int64 targets [B]."""
    sums = Accumulator()
    for features, targets in batches:
        sums.add(model.logits(features), targets)
    return sums.means()

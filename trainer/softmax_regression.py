"""Softmax regression, written out: the model, its loss and gradient, the updater, and one epoch of training.

With x an image's normalised pixels, the model is softmax(x·W + b); see Bishop, Pattern Recognition and Machine
Learning, 4.3.4, for the model, its cross-entropy and the gradient. N images, D pixel values an image, K classes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from torch import Tensor

from .distributed import ALONE, Group


@dataclass(frozen=True, kw_only=True)
class Model:
    """Softmax regression on raw images.

    weights: float32 [D, K]. bias: float32 [K]. mean, std: float32 [C], of the training pixels, in units of 0-255.
    A class's weights lie side by side in memory, which makes both products with them several times faster.
    """

    weights: Tensor
    bias: Tensor
    mean: Tensor
    std: Tensor

    def features(self, images: Tensor, out: Tensor | None = None) -> Tensor:
        """Normalise pixels and lay each image out as a row: uint8 [N, H, W, C] → [N, D], of the weights' dtype.

        images: may be rows already, uint8 [N, D]. out: where to write the rows, if they are not to take new memory.
        """
        factor, offset = self._affine
        pixels = images.flatten(1)
        rows = torch.empty_like(pixels, dtype=factor.dtype) if out is None else out
        return torch.addcmul(offset, rows.copy_(pixels), factor, out=rows)

    def logits(self, features: Tensor, dim: int = 1) -> Tensor:
        """float32 [N, D] → float32 [N, K]; [K, N] if dim, where the classes are, is 0."""
        weights, bias = self._by_class  # [K, D] and [K, 1]
        logits = torch.addmm(bias, weights, features.T)  # [K, N], as the weights lie
        return logits if dim == 0 else logits.T

    def probabilities(self, images: Tensor) -> Tensor:
        """uint8 [N, H, W, C] → float32 [N, K], rows sum to 1."""
        return softmax(self.logits(self.features(images)))

    def to(self, target: torch.device | torch.dtype | str) -> "Model":
        """Return the same model with its tensors on another device, or of another dtype."""
        return replace(self, **{name: tensor.to(target) for name, tensor in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """The four tensors by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _by_class(self) -> tuple[Tensor, Tensor]:
        """Views of the weights and the bias, a row for each class."""
        return self.weights.T, self.bias[:, None]

    @cached_property
    def _affine(self) -> tuple[Tensor, Tensor]:
        """Factor and offset [D] that normalise a row of pixels: (x − mean) / std  =  x · (1 / std) − mean / std."""
        pixels = len(self.weights) // len(self.mean)
        return (1 / self.std).repeat(pixels), (-self.mean / self.std).repeat(pixels)


def initialise(features: int, classes: int, generator: torch.Generator, std: float = 0.01) -> tuple[Tensor, Tensor]:
    """Draw weights [features, classes] from N(0, std²); biases [classes] are 0. Both float32, on the CPU."""
    return (torch.randn(classes, features, generator=generator) * std).T, torch.zeros(classes)


def softmax(logits: Tensor, dim: int = 1) -> Tensor:
    """exp(z) / Σ exp(z) along each row, stable for any finite logits.

    logits: [N, K]. Returns [N, K], rows sum to 1. Subtracting the row's maximum changes nothing but keeps exp finite.
    dim: where the classes are; 0 if the logits are [K, N], and so is what is returned.
    """
    exponentials = (logits - logits.amax(dim, keepdim=True)).exp_()  # [N, K], the largest is 1
    return exponentials.div_(exponentials.sum(dim, keepdim=True))


def cross_entropy(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None, dim: int = 1) -> Tensor:
    """Mean of −log softmax(logits) at the true labels, in nats, each image weighted by its class if weights are given.

    logits: [N, K], or [K, N] if dim is 0. labels: int64 [N], in 0..K-1. class_weights: [K]. Returns a scalar. Taken
    from the logits, not from the probabilities, so that a probability too small for float32 still has a finite
    logarithm.
    """
    shifted = logits - logits.amax(dim, keepdim=True)  # [N, K]
    log_sums = shifted.exp().sum(dim).log_()  # [N]
    losses = log_sums.sub_(shifted.gather(dim, labels.unsqueeze(dim)).squeeze(dim))  # [N]
    return losses.mean() if class_weights is None else (losses * class_weights[labels]).mean()


def cross_entropy_gradient(
    probabilities: Tensor,
    labels: Tensor,
    class_weights: Tensor | None = None,
    dim: int = 1,
    of_labels: Tensor | None = None,
) -> Tensor:
    """Gradient of the mean cross-entropy with respect to the logits: (softmax − onehot) / N, times the class's weight.

    probabilities: [N, K], rows sum to 1. labels: int64 [N], in 0..K-1. class_weights: [K]. Returns [N, K]. dim: where
    the classes are; 0 if the probabilities are [K, N], and so is what is returned. of_labels: −onehot / N, shaped like
    the probabilities, where it is at hand.
    """
    share = 1 / max(1, labels.numel())
    if of_labels is None:
        of_labels = torch.zeros_like(probabilities).scatter_(dim, labels.unsqueeze(dim), -share)
    gradient = torch.add(of_labels, probabilities, alpha=share)
    return gradient if class_weights is None else gradient.mul_(class_weights[labels].unsqueeze(dim))


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
        torch.add(gradient, velocity, alpha=momentum, out=velocity)
        if decay:
            velocity.add_(parameter, alpha=decay)
        parameter.sub_(velocity, alpha=lr)


def accuracy(logits: Tensor, labels: Tensor, dim: int = 1) -> Tensor:
    """Share of rows whose largest entry, the first of them if there are several, is at the true label: a scalar in 0-1.

    logits: [N, K], or [K, N] if dim is 0. labels: int64 [N].
    """
    classes = logits.shape[dim]
    largest = logits.clone().eq_(logits.amax(dim, keepdim=True))  # [N, K] of 1 and 0
    countdown = torch.arange(classes, 0, -1, device=logits.device).unsqueeze(1 - dim)
    first = largest.mul_(countdown).amax(dim)  # [N], K less the class; argmax takes many times as long
    return (first == classes - labels).to(torch.float32).mean()


Batches = Iterable[tuple[Tensor, ...]]
Updater = Callable[[Sequence[Tensor], Sequence[Tensor]], None]


class Accumulator:
    """Sums over minibatches of the loss, of the images answered rightly, and of the images.

    Minibatches are kept and summed up a few at a time, since a small operation costs as much as a larger one; the sums
    stay on the device they come from until they are read. With a group they are those of all its processes.
    """

    KEEP = 64

    def __init__(self, *start: float, class_weights: Tensor | None = None, group: Group = ALONE) -> None:
        self._sums: tuple[Tensor | float, ...] = start or (0.0, 0.0, 0.0)
        self._kept: list[tuple[Tensor, Tensor]] = []
        self._class_weights, self._group = class_weights, group

    def add(self, logits: Tensor, labels: Tensor, dim: int = 1) -> None:
        """Add a minibatch: logits [B, K], or [K, B] if dim is 0; labels int64 [B]."""
        self._kept.append((logits if dim == 0 else logits.T, labels))
        if len(self._kept) == self.KEEP:
            self._sum_up()

    def sums(self) -> tuple[float, ...]:
        """Read the sums: loss, images answered rightly, images."""
        self._sum_up()
        if self._group.size == 1:
            return tuple(map(float, self._sums))
        return tuple(
            self._group.sum(torch.tensor([float(value) for value in self._sums], dtype=torch.float64)).tolist()
        )

    def means(self) -> tuple[float, float]:
        """Mean loss and accuracy."""
        loss, correct, images = self.sums()
        return loss / images, correct / images

    def _sum_up(self) -> None:
        if self._kept:
            logits = torch.cat([kept for kept, _ in self._kept], dim=1)  # [K, N]
            labels = torch.cat([kept for _, kept in self._kept])
            self._kept.clear()
            if not len(labels):
                return
            loss, correct, images = self._sums
            loss += cross_entropy(logits, labels, self._class_weights, dim=0) * len(labels)
            self._sums = loss, correct + accuracy(logits, labels, dim=0) * len(labels), images + len(labels)


def gradients(
    model: Model,
    features: Tensor,
    labels: Tensor,
    sums: Accumulator,
    class_weights: Tensor | None = None,
    of_labels: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Gradients of a minibatch's mean loss with respect to the weights [D, K] and the bias [K].

    features: [B, D]. labels: int64 [B]. sums: gets the minibatch's logits. of_labels: −onehot / B, [K, B], where it is
    at hand. The classes come first on the way, as in the weights' memory: to look at a small tensor from another side
    takes as long as to work on it.
    """
    logits = model.logits(features, dim=0)  # [K, B]
    sums.add(logits, labels, dim=0)
    gradient = cross_entropy_gradient(softmax(logits, 0), labels, class_weights, 0, of_labels)  # [K, B]
    return torch.mm(gradient, features).T, gradient.sum(1)


@torch.inference_mode()
def train_epoch(
    model: Model,
    batches: Batches,
    updater: Updater,
    *,
    class_weights: Tensor | None = None,
    sums: Accumulator | None = None,
    group: Group = ALONE,
) -> tuple[float, float]:
    """Go once through the minibatches, updating the model's weights and bias in place after each.

    batches: features [B, D] and int64 labels [B]; −onehot / B as a third, [K, B], saves making it. updater: called with
    the parameters and their gradients. sums: what an interrupted epoch has summed already. group: the processes that
    share each minibatch, whose gradients are averaged. Returns the mean loss in nats and the accuracy over the epoch,
    each minibatch seen before its update.
    """
    sums = sums or Accumulator(class_weights=class_weights, group=group)
    for features, labels, *of_labels in batches:
        own = gradients(model, features, labels, sums, class_weights, *of_labels)
        updater((model.weights, model.bias), group.mean(own, labels.numel()))
    return sums.means()


@torch.inference_mode()
def evaluate(model: Model, batches: Batches, *, group: Group = ALONE) -> tuple[float, float]:
    """Mean loss in nats and accuracy of the model over all minibatches; they and the group are as for `train_epoch`."""
    sums = Accumulator(group=group)
    for features, labels, *_ in batches:
        sums.add(model.logits(features, dim=0), labels, dim=0)
    return sums.means()

"""The objective and its gradient over all training images."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..data.minibatches import minibatches
from ..fast_sums import FastAccumulator
from ..softmax_regression import Model, cross_entropy_gradient, softmax
from .task import Task


class Pass(NamedTuple):
    """objective: loss + λ/2 · ‖W‖². loss: mean, in nats. accuracy: 0-1. gradients: of weights [K, D] and bias [K]."""

    objective: float
    loss: float
    accuracy: float
    gradients: tuple[Tensor, Tensor]


def whole_pass(task: Task, model: Model, batch: int, decay: float) -> Pass:
    """Evaluate a model on a task's images, by all processes of its group.

    model: of the dtype to work in.
    batch: images at a time.
    decay: λ.
    """
    class_weights = None if task.class_weights is None else task.class_weights.to(model.weights.dtype)
    sums = FastAccumulator(class_weights=class_weights, group=task.group)
    weights_gradient = decay * model.weights if task.group.rank == 0 else torch.zeros_like(model.weights)
    bias_gradient = torch.zeros_like(model.bias)
    for features, targets, onehot in minibatches(model, task.train, batch, task.device, group=task.group):
        logits = model.logits(features)  # [K, B]
        sums.add(logits, targets)
        error = cross_entropy_gradient(softmax(logits), onehot, class_weights)  # [K, B]
        share = len(targets) / len(task.train)
        weights_gradient.add_(error @ features, alpha=share)
        bias_gradient.add_(error.sum(1), alpha=share)
    loss, accuracy = sums.means()
    gradients = task.group.sum(weights_gradient), task.group.sum(bias_gradient)
    return Pass(loss + decay / 2 * float(model.weights.norm()) ** 2, loss, accuracy, gradients)

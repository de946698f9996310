"""Minibatch stochastic gradient descent with momentum."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..config import Choice
from ..data.device import threads_for
from ..data.minibatches import minibatches
from ..data.order import shuffled
from ..fast_sums import FastAccumulator
from ..softmax_regression import cross_entropy_gradient, sgd, softmax
from .schedules import SCHEDULES
from .task import Outcome, Task


class Sgd:
    """`softmax_regression.train_epoch`, faster, by several processes, and resumable after any minibatch.

    position: minibatches done in this epoch, and their sums.
    """

    converged: bool | None = None
    choice: Choice | None = None

    def __init__(self, task: Task) -> None:
        self._task = task
        self._velocities = [torch.zeros_like(task.model.weights), torch.zeros_like(task.model.bias)]
        self.position: dict[str, Any] = {"batch": 0, "sums": []}

    @torch.inference_mode()
    def epoch(self, epoch: int) -> Outcome:
        """Run an epoch, or the rest of one."""
        task, config, model, group = self._task, self._task.config, self._task.model, self._task.group
        size = config.sgd.batch_size
        per_epoch, done = math.ceil(len(task.train) / size), self.position["batch"]
        before = self.position["sums"] if group.rank == 0 else []
        sums = FastAccumulator(*before, class_weights=task.class_weights, group=group)
        schedule, steps = SCHEDULES[config.sgd.schedule], config.last_epoch * per_epoch
        rates = schedule(config.sgd.lr, (epoch - 1) * per_epoch + done, steps)
        order = shuffled(
            len(task.train), task.train.images[0].nbytes, window=task.window, seed=config.seed, epoch=epoch
        )
        batches = minibatches(model, task.train, size, task.device, order=order, skip=done, group=group)
        with threads_for(size * model.weights.numel()):
            for features, targets, onehot in batches:
                logits = model.logits(features)  # [K, B]
                sums.add(logits, targets)
                error = cross_entropy_gradient(softmax(logits), onehot, task.class_weights)  # [K, B]
                gradients = group.mean((error @ features, error.sum(1)), len(targets))
                self._step(gradients, next(rates))
                done += 1
                task.on_batch(len(targets))
                # the sums do not depend on stopping where the accumulator has just summed up
                if done < per_epoch and done % FastAccumulator.KEEP == 0 and task.stop():
                    self.position = {"batch": done, "sums": sums.sums()}
                    return Outcome(*sums.means(), stopped=True)
        self.position = {"batch": 0, "sums": []}
        return Outcome(*sums.means())

    def tensors(self) -> dict[str, Tensor]:
        """The velocities, laid out as in the checkpoint."""
        weights, bias = self._velocities
        return {"velocity.weights": weights.T, "velocity.bias": bias}

    def restore(self, position: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Go back to a minibatch."""
        batch, sums = position["batch"], position["sums"]
        last = (len(self._task.train) - 1) // self._task.config.sgd.batch_size
        if type(batch) is not int or not 0 <= batch <= last or len(sums) not in (0, 3):
            raise ValueError(f"minibatch {batch} with sums {sums}")
        if not all(0 <= value < math.inf for value in sums):
            raise ValueError(f"sums {sums}")
        self.position = {"batch": batch, "sums": [float(value) for value in sums]}
        for name, velocity in self.tensors().items():
            velocity.copy_(tensors[name])

    def _step(self, gradients: Sequence[Tensor], lr: float) -> None:
        model, settings = self._task.model, self._task.config.sgd
        decays = (settings.weight_decay, 0.0)  # none for the bias
        for parameter, gradient, velocity, decay in zip(
            (model.weights, model.bias), gradients, self._velocities, decays, strict=True
        ):
            sgd(parameter, gradient, velocity, lr=lr, momentum=settings.momentum, weight_decay=decay)

"""Whether a fit has diverged, and which setting is to blame."""

import math
from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from .config import Choice, SgdSettings
from .data.minibatches import minibatches
from .errors import DivergedError
from .fast_sums import FastAccumulator
from .softmax_regression import Model
from .solvers.choice import Basis
from .solvers.task import Task

JUDGED = 8192  # training images, at most, on which the end of a fit is judged
MEASURED = 1024  # for the curvature of the loss


class Divergence:
    """Raises DivergedError for a fit that has diverged, with the setting to change.

    task: that of the solver, before its first epoch.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._start = replace(task.model, weights=task.model.weights.clone(), bias=task.model.bias.clone())

    def check_finite(self, epoch: int, losses: Iterable[float | None], choice: Choice | None) -> None:
        """Refuse losses and weights that are not finite, after an epoch or a part of it."""
        largest = [float(tensor.abs().max()) for tensor in (self._task.model.weights, self._task.model.bias)]
        for what, values in (("loss", losses), ("weight", largest)):
            for value in values:
                if value is not None and not math.isfinite(value):
                    raise DivergedError(
                        f"expected a finite {what}, found {value} in epoch {epoch}: lower {self._to_lower(choice)}"
                    )

    def check_end(self, model: Model, choice: Choice | None) -> None:
        """Refuse a model whose training loss is above 2 ln K, twice that of equal probabilities.

        At most 8,192 images are looked at, evenly spread.
        """
        bound, found = 2 * math.log(len(model.bias)), self._loss(model)
        if found <= bound:
            return
        less = found < self._loss(self._start)
        side, remedy = ("less", "raise --epochs") if less else ("more", f"lower {self._to_lower(choice)}")
        raise DivergedError(
            f"expected a training loss of at most 2 ln K = {bound:.4g} at the end, found {found:.4g}, "
            f"{side} than at the start: {remedy}"
        )

    def _rows(self, count: int) -> Tensor:
        """Rows of at most so many training images, evenly spread: int64 [n]."""
        images = len(self._task.train)
        count = min(count, images)
        return torch.arange(count) * images // count

    def _loss(self, model: Model) -> float:
        task = self._task
        sums = FastAccumulator(class_weights=task.class_weights, group=task.group)
        order = [self._rows(JUDGED)]
        with torch.inference_mode():
            for batch in minibatches(model, task.train, MEASURED, task.device, order=order, group=task.group):
                sums.add(model.logits(batch.features), batch.targets)
            return sums.means()[0]

    def _to_lower(self, choice: Choice | None) -> str:
        """Name the setting that is to blame, and its value.

        Momentum β is stable where learning rate times curvature is below 2(1 + β). The curvature is that of the loss,
        at the start at most a K-th of the features' largest second moment, and λ. The default rate is not to blame.
        """
        config = self._task.config
        lr, decay = (choice.lr, choice.weight_decay) if choice else (config.lr, config.weight_decay or 0.0)
        if lr is None:
            return f"--weight-decay, which was {decay:g}"
        curvature = self._curvature()
        if decay > curvature and (lr <= SgdSettings().lr or lr * curvature < 2 * (1 + config.sgd.momentum)):
            return f"--weight-decay, which was {decay:g}"
        return f"--lr, which was {lr:g}, or use --solver lbfgs"

    def _curvature(self) -> float:
        images = self._task.train.images[self._rows(MEASURED).to(self._task.train.targets.device)]
        basis = Basis.of(self._start.features(images.to(self._task.device)).cpu())
        largest: float = max([1.0, *basis.variances.tolist()])
        return largest / len(self._start.bias)

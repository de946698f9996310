"""Settings that are found: weight decay by `choice`, and what minimises the objective then."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..config import Choice
from ..data.dataset import Split
from ..data.device import threads_for
from .choice import Basis, by_class, choose
from .preconditioned import Preconditioned, parameters_of
from .sgd import Sgd
from .task import Outcome, Task

IMAGES, VALUES = 6000, 2**25  # of which weight decay is found on at most
BATCH, LEAST_EPOCHS, LEAST_IMAGES = 256, 5, 600_000  # of minibatch gradient descent, where there are more images
RATE, CLASSES = 1.1, 10


class Auto:
    """L-BFGS where weight decay is found on all images, an iteration an epoch; else minibatch gradient descent.

    Many images that are passed over a few times generalise better by it than at the optimum. The first epoch begins
    with the choice. position: the choice, and where its solver is.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._solver: Preconditioned | Sgd | None = None
        self.choice: Choice | None = None

    @property
    def converged(self) -> bool | None:
        """Whether L-BFGS is at the optimum."""
        return self._solver.converged if self._solver else False

    @property
    def position(self) -> dict[str, Any]:
        """Empty before the choice."""
        if self.choice is None or self._solver is None:
            return {}
        return {"choice": self.choice.to_json(), "solver": self._solver.position}

    def epoch(self, epoch: int) -> Outcome:
        """Run an epoch, or the rest of one."""
        self._solver = self._solver or self._begin()
        return self._solver.epoch(epoch) if self._solver else Outcome(0.0, 0.0, stopped=True)

    def tensors(self) -> dict[str, Tensor]:
        """Those of the solver that was chosen."""
        return self._solver.tensors() if self._solver else {}

    def restore(self, position: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Go back to after the choice, if there was one."""
        if position:
            self.choice = Choice.of(position["choice"])
            self._solver = self._begin()
            if self._solver:
                self._solver.restore(position["solver"], tensors)

    def _begin(self) -> Preconditioned | Sgd | None:
        """Choose, unless that is done, and make the solver; None when stopped. The first process does it for all."""
        task = self._task
        with threads_for(0):  # one: small products
            found = task.group.shared(self._choose() if task.group.rank == 0 else None)
        if found is None:
            return None
        known, (self.choice, start, basis) = self.choice, found
        if known is None:
            task.on_choice(self.choice)
        config = replace(task.config, weight_decay=self.choice.weight_decay, epochs=self.choice.epochs)
        if self.choice.lr is None:
            if not task.warm:
                task.model.weights.copy_(start[:, :-1])
                task.model.bias.copy_(start[:, -1])
            return Preconditioned(replace(task, config=config), Basis(*(part.to(task.device) for part in basis)))
        config = replace(config, solver="sgd", batch_size=self.choice.batch_size, lr=self.choice.lr)
        return Sgd(replace(task, config=config))

    @torch.inference_mode()
    def _choose(self) -> tuple[Choice, Tensor, Basis] | None:
        """What is chosen, where L-BFGS starts, [K, D + 1], and the directions of the features."""
        task, given, start = self._task, self._task.config.weight_decay, parameters_of(self._task.model).cpu()
        features, targets = self._sample()
        basis, large = Basis.of(features), len(targets) < len(task.train)
        if self.choice:
            return self.choice, start, basis
        choice = Choice(weight_decay=given or 0.0, epochs=task.config.last_epoch)
        if given is None:
            chosen = choose(
                features,
                targets,
                basis,
                None if task.class_weights is None else task.class_weights.cpu(),
                len(task.model.bias),
                copies=task.train.copies,
                seed=task.config.seed,
                stop=task.stop if task.group.size == 1 else lambda: False,  # the other processes wait
            )
            if chosen is None:
                return None
            found, start = chosen
            decay = found.weight_decay * len(targets) / len(task.train)
            choice = replace(found, weight_decay=decay, epochs=choice.epochs)
        return self._by_sgd(choice, basis) if large else choice, start, basis

    def _by_sgd(self, choice: Choice, basis: Basis) -> Choice:
        """Choose the settings of minibatch gradient descent.

        At the start, with probabilities of 1/K, the largest curvature is a K-th of the features' largest second moment,
        or of the bias's, 1.
        """
        classes, largest = len(self._task.model.bias), max([1.0, *basis.variances.tolist()])
        enough = max(LEAST_EPOCHS, math.ceil(LEAST_IMAGES / len(self._task.train)))
        rate = RATE * min(classes, CLASSES) / largest
        return replace(choice, batch_size=BATCH, lr=rate, epochs=min(choice.epochs, enough))

    def _sample(self) -> tuple[Tensor, Tensor]:
        """Features [n, D] and targets [n] of some images, of all classes alike; of all where they are few.

        Those of mirror images follow, in the same order.
        """
        train = self._task.train
        targets, each = train.targets.cpu(), len(train) // train.copies
        count = max(1, sample_size(train) // train.copies)
        rows = by_class(targets[:each], self._task.config.seed)[torch.arange(count) * each // count]
        rows = train.with_copies(rows)
        images = train.images[rows.to(train.targets.device)].to(self._task.device)
        return self._task.model.features(images).cpu(), targets[rows]


def sample_size(train: Split) -> int:
    """On how many of the training images weight decay is found."""
    return min(len(train), IMAGES, max(1, VALUES // train.dimension))

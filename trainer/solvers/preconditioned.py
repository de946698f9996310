"""L-BFGS over all images with an estimate of the Hessian: a few iterations where `lbfgs` takes many, less exactly."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..data.device import threads_for
from ..softmax_regression import Model
from .choice import Basis
from .minimise import Minimiser, Pairs
from .task import Outcome, Task
from .whole import whole_pass

BATCH = 4096
TOLERANCE = 1e-4  # share of the objective by which it still falls
STEPS, CHANGES = "auto.steps", "auto.changes"


class Preconditioned:
    """An epoch is an iteration, from the task's model on; its loss and accuracy are those after it.

    basis: directions of the features, on the task's device.
    """

    def __init__(self, task: Task, basis: Basis) -> None:
        self._task, self._basis = task, basis
        self._minimiser: Minimiser | None = None
        self._pairs: Pairs = []
        self._means: dict[float, tuple[float, float]] = {}  # loss and accuracy, by the objective
        self.converged: bool | None = False
        self.position: dict[str, Any] = {}

    @torch.inference_mode()
    def epoch(self, epoch: int) -> Outcome:  # noqa: ARG002 - all iterations are alike
        """Run an iteration."""
        task, decay = self._task, self._task.config.weight_decay or 0.0
        with threads_for(BATCH * task.model.weights.numel()):
            if self._minimiser is None:
                precondition = lambda gradient: self._basis.precondition(gradient, decay)  # noqa: E731
                self._minimiser = Minimiser(self._evaluate, parameters_of(task.model), precondition)
                self._minimiser.pairs = self._pairs
            minimiser = self._minimiser
            self.converged = minimiser.run(1, TOLERANCE)
        self._pairs = minimiser.pairs
        self._means = {minimiser.value: self._means[minimiser.value]}
        task.model.weights.copy_(minimiser.parameters[:, :-1])
        task.model.bias.copy_(minimiser.parameters[:, -1])
        task.on_batch(len(task.train))
        return Outcome(*self._means[minimiser.value])

    def tensors(self) -> dict[str, Tensor]:
        """The pairs that L-BFGS remembers."""
        steps, changes = ([pair[which] for pair in self._pairs] for which in (0, 1))
        return {STEPS: torch.stack(steps), CHANGES: torch.stack(changes)} if self._pairs else {}

    def restore(self, position: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Go back to after an iteration."""
        if position:
            raise ValueError(f"position {position}")
        if STEPS in tensors:
            steps, changes = tensors[STEPS], tensors[CHANGES]
            if steps.shape[1:] != parameters_of(self._task.model).shape or steps.shape != changes.shape:
                raise ValueError(f"steps {list(steps.shape)}, changes {list(changes.shape)}")
            self._pairs = list(zip(steps, changes, strict=True))

    def _evaluate(self, parameters: Tensor) -> tuple[float, Tensor]:
        weights, bias = parameters[:, :-1].contiguous(), parameters[:, -1].contiguous()
        model, decay = replace(self._task.model, weights=weights, bias=bias), self._task.config.weight_decay or 0.0
        found = whole_pass(self._task, model, BATCH, decay)
        self._means[found.objective] = found.loss, found.accuracy
        return found.objective, torch.cat((found.gradients[0], found.gradients[1][:, None]), dim=1)


def parameters_of(model: Model) -> Tensor:
    """Weights and bias: [K, D + 1]."""
    return torch.cat((model.weights, model.bias[:, None]), dim=1)

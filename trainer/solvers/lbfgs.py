"""L-BFGS over all images, to the optimum."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..config import Choice
from .task import Outcome, Task
from .whole import whole_pass

BATCH = 8192
MEMORY = 100
EVALUATIONS = 25
PATIENCE = 3
NUMBERS = ("func_evals", "n_iter", "t", "H_diag", "prev_loss")
LISTS = ("old_dirs", "old_stps")
GRADIENT_TOLERANCE = 1e-6
SCALE = 2.0**20  # of the objective: torch drops pairs whose y·s is not above 1e-10, which small gradients are not


class Lbfgs:
    """torch's L-BFGS with a strong-Wolfe line search; an epoch is one iteration.

    It works in double precision where the device has it: near the optimum float32 cannot tell better from worse.
    position: numbers of the last iteration, by torch's names; `objective` before it; `stalled`, iterations since it
    last fell.
    """

    choice: Choice | None = None

    def __init__(self, task: Task) -> None:
        self._task = task
        self._model = task.model.to(torch.float32 if task.device.type == "mps" else torch.float64)
        self._parameters = [self._model.weights, self._model.bias]
        self._optimiser = torch.optim.LBFGS(
            self._parameters,
            max_iter=1,
            max_eval=EVALUATIONS,
            history_size=MEMORY,
            tolerance_grad=0,
            tolerance_change=0,
            line_search_fn="strong_wolfe",
        )
        self._last: Any = None  # the parameters of the last evaluation, and what it returned
        self.converged: bool | None = False
        self.position: dict[str, Any] = {"objective": math.inf, "stalled": 0}

    def epoch(self, epoch: int) -> Outcome:  # noqa: ARG002 - all iterations are alike
        """Run an iteration; loss and accuracy are those before it."""
        seen: list[tuple[float, float, float]] = []

        def closure() -> float:
            weights, bias = self._parameters
            known = self._last and torch.equal(self._last[0], weights) and torch.equal(self._last[1], bias)
            if not known:
                self._last = weights.clone(), bias.clone(), self._evaluate()
            seen.append(self._last[2])
            return SCALE * seen[-1][0]

        self._optimiser.step(closure)
        self._task.model.weights.copy_(self._model.weights)
        self._task.model.bias.copy_(self._model.bias)
        objective, loss, accuracy = seen[0]
        stalled = 0 if objective < self.position["objective"] else self.position["stalled"] + 1
        state = self._optimiser.state[self._parameters[0]]
        self.position = {"objective": objective, "stalled": stalled}
        self.position |= {name: float(state[name]) for name in NUMBERS if name in state}
        gradient = state.get("prev_flat_grad")
        flat = gradient is None or float(gradient.abs().max()) <= SCALE * GRADIENT_TOLERANCE
        self.converged = flat or stalled == PATIENCE
        self._task.on_batch(len(self._task.train))
        return Outcome(loss, accuracy)

    def tensors(self) -> dict[str, Tensor]:
        """The parameters, directions, steps and gradients that L-BFGS remembers, weights as [K, D]."""
        state = self._optimiser.state[self._parameters[0]]
        if "d" not in state:
            return {}
        rows = {f"lbfgs.{name}.{i}": row for name in LISTS for i, row in enumerate(state[name])}
        return rows | {
            "lbfgs.weights": self._model.weights,
            "lbfgs.bias": self._model.bias,
            "lbfgs.d": state["d"],
            "lbfgs.prev_flat_grad": state["prev_flat_grad"],
            "lbfgs.ro": torch.tensor([float(value) for value in state["ro"]], dtype=torch.float64),
        }

    def restore(self, position: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Go back to the end of an iteration."""
        if "n_iter" not in position:
            self._model.weights.copy_(self._task.model.weights)
            self._model.bias.copy_(self._task.model.bias)
            return
        numbers = {name: position[name] for name in ("objective", "stalled", *NUMBERS)}
        if not all(math.isfinite(value) for value in numbers.values()):
            raise ValueError(f"position {numbers}")
        self.position = numbers
        for name, parameter in zip(("weights", "bias"), self._parameters, strict=True):
            parameter.copy_(tensors[f"lbfgs.{name}"])
        flat = torch.cat([parameter.reshape(-1) for parameter in self._parameters])
        state = self._optimiser.state[self._parameters[0]]
        state |= {name: numbers[name] for name in NUMBERS}
        state |= {name: flat.clone().copy_(tensors[f"lbfgs.{name}"]) for name in ("d", "prev_flat_grad")}
        state["ro"] = tensors["lbfgs.ro"].tolist()
        for name in LISTS:
            state[name] = [flat.clone().copy_(tensors[f"lbfgs.{name}.{i}"]) for i in range(len(state["ro"]))]

    @torch.inference_mode()
    def _evaluate(self) -> tuple[float, float, float]:
        """Objective, mean loss and accuracy at the present weights; leaves the gradients with the parameters."""
        found = whole_pass(self._task, self._model, BATCH, self._task.config.weight_decay or 0)
        for parameter, gradient in zip(self._parameters, found.gradients, strict=True):
            parameter.grad = SCALE * gradient
        return found.objective, found.loss, found.accuracy

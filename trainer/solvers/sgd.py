"""The two ways to fit: stochastic gradient descent, and L-BFGS for the optimum.

A solver moves a model's weights epoch by epoch, and can write down and read back all that it carries from one to the
next, so that an interrupted fit goes on as if nothing had happened.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..config import FitConfig
from ..data.dataset import Split
from ..data.minibatches import minibatches, shuffled, threads_for
from ..distributed import Group
from ..softmax_regression import Accumulator, Batches, Model, gradients, sgd, train_epoch

LBFGS_BATCH = 8192
LBFGS_MEMORY = 100
LBFGS_EVALUATIONS = 25
LBFGS_PATIENCE = 3
LBFGS_NUMBERS = ("func_evals", "n_iter", "t", "H_diag", "prev_loss")
LBFGS_LISTS = ("old_dirs", "old_stps")
GRADIENT_TOLERANCE = 1e-6
LBFGS_SCALE = 2.0**20  # of the objective: torch drops pairs whose y·s is not above 1e-10, which small gradients are not


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a solver works on. class_weights: float32 [K], or None where all weigh the same.

    group: the processes that work on it together. window: bytes of images shuffled among each other.
    """

    model: Model
    train: Split
    class_weights: Tensor | None
    device: torch.device
    config: FitConfig
    on_batch: Callable[[int], None]
    stop: Callable[[], bool]
    group: Group
    window: int


class Solver(Protocol):
    """One of the two below. converged: whether it is at the optimum; None where it cannot tell."""

    converged: bool | None
    position: dict[str, Any]

    def epoch(self, epoch: int) -> tuple[float, float] | None:
        """Do an epoch; return its mean loss and accuracy, or None where it was stopped half way."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Name the tensors that the next epoch depends on, beside the model's own."""
        ...

    def restore(self, position: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Go back to where `position` and `tensors` were taken. Raises what comes of values that no fit has written."""
        ...


class Sgd:
    """Minibatch stochastic gradient descent with momentum. position: minibatches done in this epoch, and their sums."""

    converged: bool | None = None

    def __init__(self, task: Task) -> None:
        self._task = task
        self._velocities = [torch.zeros_like(task.model.weights), torch.zeros_like(task.model.bias)]
        self.position: dict[str, Any] = {"batch": 0, "sums": []}

    def epoch(self, epoch: int) -> tuple[float, float] | None:
        """Do an epoch, or what is left of it."""
        task, config = self._task, self._task.config
        count = len(task.train)
        per_epoch = math.ceil(count / config.batch_size)
        before = self.position["sums"] if task.group.rank == 0 else []
        sums = Accumulator(*before, class_weights=task.class_weights, group=task.group)
        self._done = self.position["batch"]
        rates = SCHEDULES[config.schedule](
            config.lr, (epoch - 1) * per_epoch + self._done, config.last_epoch * per_epoch
        )

        def updater(parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
            decay = (config.weight_decay, 0.0)  # the bias is left out
            sgd(parameters, gradients, self._velocities, lr=next(rates), momentum=config.momentum, weight_decay=decay)

        order = shuffled(count, task.train.features, window=task.window, seed=config.seed, epoch=epoch)
        batches = minibatches(
            task.model,
            task.train,
            config.batch_size,
            task.device,
            order=order,
            skip=self._done,
            of_labels=True,
            group=task.group,
        )
        with threads_for(config.batch_size * task.model.weights.numel()):
            means = train_epoch(
                task.model,
                self._counted(batches),
                updater,
                class_weights=task.class_weights,
                sums=sums,
                group=task.group,
            )
        stopped = self._done < per_epoch
        self.position = {"batch": self._done, "sums": sums.sums()} if stopped else {"batch": 0, "sums": []}
        return None if stopped else means

    def tensors(self) -> dict[str, Tensor]:
        """Name the velocities."""
        return {"velocity.weights": self._velocities[0], "velocity.bias": self._velocities[1]}

    def restore(self, position: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Go back to a minibatch."""
        batch, sums = position["batch"], position["sums"]
        last = (len(self._task.train) - 1) // self._task.config.batch_size
        if type(batch) is not int or not 0 <= batch <= last or len(sums) not in (0, 3):
            raise ValueError(f"minibatch {batch} with sums {sums}")
        if not all(0 <= value < math.inf for value in sums):
            raise ValueError(f"sums {sums}")
        self.position = {"batch": batch, "sums": [float(value) for value in sums]}
        for name, tensor in self.tensors().items():
            tensor.copy_(tensors[name])

    def _counted(self, batches: Batches) -> Batches:
        for batch in batches:
            yield batch
            self._done += 1
            self._task.on_batch(batch[1].numel())
            if self._done % Accumulator.KEEP == 0 and self._task.stop():
                return  # where the sums do not depend on having been stopped


class Lbfgs:
    """torch's L-BFGS with a strong-Wolfe line search over all images; an epoch is one iteration of it.

    It works in double precision where the device has it, since near the optimum float32 cannot tell better from worse.
    position: numbers of the last iteration, by torch's names; `objective` before it and how often it `stalled` since.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._model = task.model.to(torch.float32 if task.device.type == "mps" else torch.float64)
        self._parameters = [self._model.weights.T, self._model.bias]  # the weights as they lie in memory
        self._optimiser = torch.optim.LBFGS(
            self._parameters,
            max_iter=1,
            max_eval=LBFGS_EVALUATIONS,
            history_size=LBFGS_MEMORY,
            tolerance_grad=0,
            tolerance_change=0,
            line_search_fn="strong_wolfe",
        )
        self._last: Any = None  # where the objective was evaluated last, and what it was
        self.converged: bool | None = False
        self.position: dict[str, Any] = {"objective": math.inf, "stalled": 0}

    def epoch(self, epoch: int) -> tuple[float, float] | None:  # noqa: ARG002 - all iterations are alike
        """Do an iteration; the loss and accuracy are those before it."""
        seen: list[tuple[float, float, float]] = []

        def closure() -> float:
            weights, bias = self._parameters
            known = self._last and torch.equal(self._last[0], weights) and torch.equal(self._last[1], bias)
            if not known:
                self._last = weights.clone(), bias.clone(), self._evaluate()
            seen.append(self._last[2])
            return LBFGS_SCALE * seen[-1][0]

        self._optimiser.step(closure)
        self._task.model.weights.copy_(self._model.weights)
        self._task.model.bias.copy_(self._model.bias)
        objective, loss, share = seen[0]
        stalled = 0 if objective < self.position["objective"] else self.position["stalled"] + 1
        state = self._optimiser.state[self._parameters[0]]
        self.position = {"objective": objective, "stalled": stalled}
        self.position |= {name: float(state[name]) for name in LBFGS_NUMBERS if name in state}
        gradient = state.get("prev_flat_grad")
        flat = gradient is None or float(gradient.abs().max()) <= LBFGS_SCALE * GRADIENT_TOLERANCE
        self.converged = flat or stalled == LBFGS_PATIENCE
        self._task.on_batch(len(self._task.train))
        return loss, share

    def tensors(self) -> dict[str, Tensor]:
        """Name the directions, steps and gradients that L-BFGS remembers."""
        state = self._optimiser.state[self._parameters[0]]
        if "d" not in state:
            return {}
        rows = {f"lbfgs.{name}.{i}": row for name in LBFGS_LISTS for i, row in enumerate(state[name])}
        return rows | {
            "lbfgs.weights": self._model.weights.T,
            "lbfgs.bias": self._model.bias,
            "lbfgs.d": state["d"],
            "lbfgs.prev_flat_grad": state["prev_flat_grad"],
            "lbfgs.ro": torch.tensor([float(value) for value in state["ro"]], dtype=torch.float64),
        }

    def restore(self, position: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Go back to the end of an iteration."""
        if "n_iter" not in position:
            return
        numbers = {name: position[name] for name in ("objective", "stalled", *LBFGS_NUMBERS)}
        if not all(math.isfinite(value) for value in numbers.values()):
            raise ValueError(f"position {numbers}")
        self.position = numbers
        for name, parameter in zip(("weights", "bias"), self._parameters, strict=True):
            parameter.copy_(tensors[f"lbfgs.{name}"])
        flat = torch.cat([parameter.reshape(-1) for parameter in self._parameters])
        state = self._optimiser.state[self._parameters[0]]
        state |= {name: numbers[name] for name in LBFGS_NUMBERS}
        state |= {name: flat.clone().copy_(tensors[f"lbfgs.{name}"]) for name in ("d", "prev_flat_grad")}
        state["ro"] = tensors["lbfgs.ro"].tolist()
        for name in LBFGS_LISTS:
            state[name] = [flat.clone().copy_(tensors[f"lbfgs.{name}.{i}"]) for i in range(len(state["ro"]))]

    def _evaluate(self) -> tuple[float, float, float]:
        """Objective, mean loss and accuracy at the present weights; leaves the gradients with the parameters."""
        task, decay = self._task, self._task.config.weight_decay
        weights, bias = self._model.weights, self._model.bias
        class_weights = None if task.class_weights is None else task.class_weights.to(weights.dtype)
        sums = Accumulator(class_weights=class_weights, group=task.group)
        weights_gradient = decay * weights if task.group.rank == 0 else torch.zeros_like(weights)
        bias_gradient = torch.zeros_like(bias)
        for features, labels in minibatches(self._model, task.train, LBFGS_BATCH, task.device, group=task.group):
            share = len(labels) / len(task.train)
            batch_weights, batch_bias = gradients(self._model, features, labels, sums, class_weights)
            weights_gradient.add_(batch_weights, alpha=share)
            bias_gradient.add_(batch_bias, alpha=share)
        self._parameters[0].grad = LBFGS_SCALE * task.group.sum(weights_gradient.T)
        self._parameters[1].grad = LBFGS_SCALE * task.group.sum(bias_gradient)
        loss, share_right = sums.means()
        return loss + decay / 2 * float(weights.norm()) ** 2, loss, share_right


def cosine(lr: float, start: int, steps: int) -> Iterator[float]:
    """Step sizes from step `start` on: along half a cosine from `lr` to 0 (Loshchilov and Hutter 2017, no restarts)."""
    return (lr * (1 + math.cos(math.pi * step / steps)) / 2 for step in range(start, steps))


def constant(lr: float, start: int, steps: int) -> Iterator[float]:
    """Step sizes from step `start` on: `lr` each time."""
    return (lr for _ in range(start, steps))


SCHEDULES = {"cosine": cosine, "constant": constant}
SOLVERS: dict[str, Callable[[Task], Solver]] = {"sgd": Sgd, "lbfgs": Lbfgs}

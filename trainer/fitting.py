"""Fitting: the loop over epochs, early stopping, and going on after an interruption."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from runtime.data.fingerprints import fingerprints

from .checkpoint import Checkpoint
from .config import Choice, FitConfig
from .data.dataset import Arrays, Dataset, Split, as_dataset
from .data.device import choose_device, place, within
from .data.memory import limit_or_default, window_for
from .data.minibatches import minibatches
from .decisions.concluding import concluded
from .distributed import ALONE, Group
from .divergence import Divergence
from .epoch import Epoch
from .errors import CheckpointError, ConfigError
from .fast_sums import FastAccumulator
from .fitted import Fit
from .parts import parts_of, settled
from .provenance import balanced_class_weights, golden_examples, pixel_statistics, provenance, training_sample
from .resuming import as_before, check_same
from .softmax_regression import Model
from .solvers.auto import Auto
from .solvers.lbfgs import Lbfgs
from .solvers.sgd import Sgd
from .solvers.task import Outcome, Task
from .start import initial_model, take_over

FIGURES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "test_loss", "test_accuracy")
EVALUATION_BATCH = 4096
SOLVERS: dict[str, type[Auto] | type[Sgd] | type[Lbfgs]] = {"auto": Auto, "sgd": Sgd, "lbfgs": Lbfgs}


def fit(
    data: Dataset | tuple[Arrays, Arrays],
    config: FitConfig | None = None,
    *,
    on_choice: Callable[[Choice], None] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    on_batch: Callable[[int], None] | None = None,
    on_checkpoint: Callable[[Fit], None] | None = None,
    stop: Callable[[], bool] | None = None,
    start: Checkpoint | None = None,
    resume: Checkpoint | None = None,
    memory_limit: int | None = None,
    group: Group = ALONE,
) -> Fit:
    """Fit softmax regression to the training images.

    The same data, settings and device give the same weights, bit for bit, whether interrupted or not. Nothing depends
    on the test split. Raises ConfigError, DataError, and DivergedError where weights or losses are not finite, or the
    training loss ends above 2 ln K.

    data: a data set; or uint8 images [N, H, W, …] with targets [N], a fifth of which become the test split.
    on_choice, on_epoch, on_batch: called with what "auto" has found; after each epoch; and with the number of images of
        each minibatch.
    on_checkpoint: called with the fit so far, after each epoch and when stopped.
    stop: asked every few minibatches whether to stop there.
    start, resume: checkpoint whose weights to start from, by label, of images like these; or of a fit to resume.
    memory_limit: bytes of memory for images, by default half of what is free; mapped files above it are read as needed.
    group: processes that run the same fit on the same data, each on its part of every minibatch.
    """
    if start and resume:
        raise ConfigError("expected a checkpoint to start from or one to resume, found both: leave out one of them")
    asked = stop or (lambda: False)
    config = as_before(config or FitConfig(), resume)
    data = as_dataset(data, seed=config.seed)
    config = settled(config, data)
    told = on_batch or (lambda _: None), on_choice or (lambda _: None)
    fitting = _Fitting(data, config, memory_limit, group, *told, lambda: group.any(asked()), start, resume)
    if resume:
        fitting.restore(resume)
    elif on_checkpoint and group.size > 1:
        on_checkpoint(fitting.result())  # for a process that is restarted to resume from
    while not fitting.finished and not group.any(asked()) and fitting.advance():
        if on_epoch:
            on_epoch(fitting.history[-1])
        if on_checkpoint and not fitting.finished:
            on_checkpoint(fitting.result())
    result = fitting.concluded(fitting.result())
    if on_checkpoint:
        on_checkpoint(result)
    return result


class _Fitting:
    """A fit under way: the data in place, the model and its solver, the history, and the best epoch's model."""

    def __init__(
        self,
        data: Dataset,
        config: FitConfig,
        memory_limit: int | None,
        group: Group,
        on_batch: Callable[[int], None],
        on_choice: Callable[[Choice], None],
        stop: Callable[[], bool],
        start: Checkpoint | None,
        resume: Checkpoint | None,
    ) -> None:
        device, classes, limit = choose_device(config.device), len(data.labels), limit_or_default(memory_limit)
        parts = parts_of(data, config)
        self._train = train = within(parts.train, limit)
        self._held_out = parts.held_out
        inputs, self._validation = train.inputs, parts.validation and within(parts.validation, limit).inputs
        window = min(config.shuffle_window or window_for(limit), inputs.images.nbytes)
        self._data, self._group, self._device = data, group, device
        self._config = replace(config, device=device.type, epochs=config.last_epoch, shuffle_window=window)
        self._sample, self._fingerprints = training_sample(train, config.seed), fingerprints(data.train.images)
        model = initial_model(inputs, classes, config, group, features=data.features)
        self._began = resume.provenance.get("start") if resume else None
        if start:
            model, self._began = take_over(start, model, data), start.digest()
        self._statistics = (model.mean, model.std) if model.mean.ndim == 1 else pixel_statistics(train.images, group)
        self._model = model.to(device)
        self._test, placed = place((within(data.test, limit).inputs, inputs), device, limit)
        weights = balanced_class_weights(train, classes).to(device) if config.class_weights == "balanced" else None
        task = Task(
            model=self._model,
            train=placed,
            class_weights=weights,
            device=device,
            config=config,
            on_batch=on_batch,
            on_choice=on_choice,
            stop=stop,
            group=group,
            window=window,
            warm=self._began is not None,
        )
        self.solver, self._divergence = SOLVERS[config.solver](task), Divergence(task)
        self.history: list[Epoch] = []
        self._best: dict[str, Tensor] = {}

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, the optimum is reached, or validation says to stop."""
        overdue = bool(self._best) and len(self.history) - self._best_epoch.epoch >= self._config.patience
        choice = self.solver.choice
        last = choice.epochs if choice else self._config.last_epoch
        return len(self.history) >= last or bool(self.solver.converged) or overdue

    @property
    def _best_epoch(self) -> Epoch:
        """The epoch whose model is kept: the last one, or with validation the one of the lowest validation loss."""
        return min(reversed(self.history), key=lambda row: row.val_loss or 0.0)

    def advance(self) -> bool:
        """Run an epoch, or the rest of one; return whether it ended. Raises DivergedError."""
        number, started = len(self.history) + 1, time.perf_counter()
        outcome = self.solver.epoch(number)
        losses: tuple[float | None, ...] = (outcome.loss,)
        if not outcome.stopped:
            row = self._evaluated(number, outcome, started)
            losses = row.train_loss, row.val_loss, row.test_loss
        self._divergence.check_finite(number, losses, self.solver.choice)
        if outcome.stopped:
            return False
        self.history.append(row)
        if self._validation and self._best_epoch is row:
            self._best = {"weights": self._model.weights.clone(), "bias": self._model.bias.clone()}
        if self.finished:
            self._divergence.check_end(replace(self._model, **self._best), self.solver.choice)
        return True

    def _evaluated(self, number: int, outcome: Outcome, started: float) -> Epoch:
        """Evaluate the model after an epoch."""
        val = self._evaluate(self._validation) if self._validation else (None, None)
        test = self._evaluate(self._test)
        return Epoch(
            epoch=number,
            train_loss=outcome.loss,
            train_accuracy=outcome.accuracy,
            val_loss=val[0],
            val_accuracy=val[1],
            test_loss=test[0],
            test_accuracy=test[1],
            seconds=time.perf_counter() - started,
        )

    def result(self) -> Fit:
        """The fit so far; an unfinished one carries what it needs to resume."""
        tensors = self._model.tensors() | (self._best if self.finished else {})
        model = Model(**{name: tensor.cpu().clone() for name, tensor in tensors.items()})
        progress, state = None, {}
        if not self.finished:
            progress = {"history": [asdict(row) for row in self.history], "position": self.solver.position}
            best = {f"best.{name}": tensor for name, tensor in _as_in_files(self._best).items()}
            state = {name: tensor.cpu().clone().numpy() for name, tensor in (self.solver.tensors() | best).items()}
        arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in self._in_checkpoint(model).items()}
        checkpoint = Checkpoint(
            **arrays,
            **golden_examples(model, self._data.test),
            sample_images=self._sample,
            labels=self._data.labels,
            image=self._data.contract,
            features=self._data.features,
            provenance=self._provenance(),
            progress=progress,
            state=state,
        )
        history, solver = tuple(self.history), self.solver
        kept = self._best_epoch.epoch if self._best and self.finished else len(history)
        return Fit(model, history, checkpoint, self.finished, solver.converged, solver.choice, kept)

    def concluded(self, result: Fit) -> Fit:
        """Add what is found on the images that were held out, if the fit is finished. The first process finds it."""
        if not result.finished or self._held_out is None:
            return result
        found = result
        if self._group.rank == 0:
            checkpoint, decided = concluded(
                result.checkpoint, self._train, self._held_out, self._data.test, self._config
            )
            found = replace(result, checkpoint=checkpoint, unmet=decided.unmet)
        return self._group.shared(found)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to where an unfinished fit of the same data was. Raises ConfigError and CheckpointError."""
        if checkpoint.progress is None:
            raise ConfigError("expected the checkpoint of an unfinished fit, found a finished one: nothing to resume")
        try:
            check_same(checkpoint, asdict(self._config), self._data, self._statistics)
            self._go_back(checkpoint, checkpoint.progress)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"expected an unfinished fit that `kit train` saved, found other content ({error}): train again"
            ) from None

    def _go_back(self, checkpoint: Checkpoint, progress: Mapping[str, Any]) -> None:
        """Read the state of a fit. Raises what comes of values that no fit has saved."""
        tensors = {name: torch.tensor(array, device=self._device) for name, array in checkpoint.state.items()}
        self.history = [Epoch.of(row) for row in progress["history"]]
        if "best.weights" in tensors and self.history:
            best = {name: getattr(self._model, name).clone() for name in ("weights", "bias")}
            for name, tensor in _as_in_files(best).items():
                tensor.copy_(tensors[f"best.{name}"])
            self._best = best
        self._model.weights.copy_(torch.tensor(checkpoint.weights).T)
        self._model.bias.copy_(torch.tensor(checkpoint.bias))
        self.solver.restore(progress["position"], tensors)

    def _in_checkpoint(self, model: Model) -> dict[str, Tensor]:
        """Name and lay out a model's tensors as the checkpoint does."""
        tensors = _as_in_files(model.tensors())
        if model.mean.ndim == 1:
            return tensors
        mean, std = self._statistics
        return tensors | {"mean": mean, "std": std, "centre": model.mean.flatten(), "scale": model.std.flatten()}

    def _evaluate(self, split: Split) -> tuple[float, float]:
        """`softmax_regression.evaluate`, by all processes of the group."""
        sums = FastAccumulator(group=self._group)
        with torch.inference_mode():
            for batch in minibatches(self._model, split, EVALUATION_BATCH, self._device, group=self._group):
                sums.add(self._model.logits(batch.features), batch.targets)
            return sums.means()

    def _provenance(self) -> dict[str, Any]:
        figures = asdict(self._best_epoch) if self.history else {}
        known = {name: figures[name] for name in FIGURES if figures.get(name) is not None}
        return provenance(
            self._data, self._fingerprints, self._config, known, choice=self.solver.choice, start=self._began
        )


def _as_in_files(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Lay the weights out as the checkpoint has them, [D, K]; a view."""
    return {name: tensor.T if name == "weights" else tensor for name, tensor in tensors.items()}

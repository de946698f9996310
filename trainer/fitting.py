"""Fitting: settings, the loop over epochs, early stopping, and what is needed to go on after an interruption."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .checkpoint import Checkpoint
from .config import FitConfig
from .data.dataset import Arrays, Dataset, Split, as_dataset, hold_out
from .data.memory import limit_or_default, window_for
from .data.minibatches import choose_device, minibatches, place, within
from .distributed import ALONE, Group
from .errors import CheckpointError, ConfigError, TrainerError
from .softmax_regression import Model, evaluate, initialise
from .solvers.sgd import SOLVERS, Task

FIGURES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "test_loss", "test_accuracy")
EVALUATION_BATCH = 4096
STATISTICS_BLOCK = 2**22
GOLDEN_COUNT = 16
GOLDEN_BYTES = 64 * 2**10
SAMPLE_COUNT = 1024
SAMPLE_ROWS = 32
SAMPLE_BYTES = 2**20


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """Figures of one epoch: loss in nats, accuracy 0-1; those of validation are None without a validation split.

    Training figures are taken while the weights still move, and weighted as class_weights says; the others are not.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    test_loss: float
    test_accuracy: float
    seconds: float

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Epoch":
        """Read what `asdict` gave. Raises TypeError, ValueError or OverflowError."""
        if not all(math.isfinite(value) for value in row.values() if value is not None):
            raise ValueError(f"an epoch of {row}")
        epoch = cls(**row)
        if None in (epoch.train_loss, epoch.train_accuracy, epoch.test_loss, epoch.test_accuracy, epoch.seconds):
            raise ValueError(f"an epoch of {row}")
        return epoch


@dataclass(frozen=True)
class Fit:
    """What `fit` returns: the model, on the CPU; a row for each epoch; and the checkpoint to save, export or resume.

    finished: False where `stop` ended the fit before its time. converged: of L-BFGS, whether it got to the optimum,
    though validation may have kept an earlier epoch's model; None of SGD.
    """

    model: Model
    history: tuple[Epoch, ...]
    checkpoint: Checkpoint
    finished: bool
    converged: bool | None


def fit(
    data: Dataset | tuple[Arrays, Arrays],
    config: FitConfig | None = None,
    *,
    on_epoch: Callable[[Epoch], None] | None = None,
    on_batch: Callable[[int], None] | None = None,
    on_checkpoint: Callable[[Fit], None] | None = None,
    stop: Callable[[], bool] | None = None,
    resume: Checkpoint | None = None,
    memory_limit: int | None = None,
    group: Group = ALONE,
) -> Fit:
    """Fit softmax regression to the training images.

    data: a data set, or a pair of arrays: uint8 images [N, H, W] or [N, H, W, C], and integer classes [N], of which a
    fifth is held out as the test split. on_epoch: called after each epoch. on_batch: called with the number of images
    of each minibatch. on_checkpoint: called with the fit as it stands, after each epoch and when stopped. stop: asked
    every few minibatches whether to end the fit there. resume: an unfinished fit's checkpoint to go on from.
    memory_limit: bytes of this machine's memory that images may take, by default half of what is free; images that are
    mapped from a file and take more are read from there as they are needed. group: processes that run the same fit on
    the same data, each on its part of every minibatch.

    The same data, settings and device give the same weights, bit for bit, whether interrupted or not. The test split
    is evaluated after each epoch, and nothing depends on the figures. Raises ConfigError, DataError, and TrainerError
    where the loss becomes infinite.
    """
    config = config or FitConfig()
    if resume and config.shuffle_window is None:
        config = dataclasses.replace(config, shuffle_window=_window_of(resume))
    limit = limit_or_default(memory_limit)
    asked = stop or _never

    def stopped() -> bool:
        return group.any(asked())

    fitting = _Fitting(as_dataset(data, seed=config.seed), config, limit, group, on_batch or _ignore, stopped)
    if resume:
        fitting.restore(resume)
    elif on_checkpoint and group.size > 1:
        on_checkpoint(fitting.result())  # what a process that is started anew goes on from
    while not fitting.finished and not stopped() and fitting.epoch():
        if on_epoch:
            on_epoch(fitting.history[-1])
        if on_checkpoint and not fitting.finished:
            on_checkpoint(fitting.result())
    result = fitting.result()
    if on_checkpoint:
        on_checkpoint(result)
    return result


def _window_of(checkpoint: Checkpoint) -> int | None:
    """The window that an unfinished fit shuffles in; None where the checkpoint does not say."""
    settings = checkpoint.provenance.get("settings")
    window = settings.get("shuffle_window") if isinstance(settings, dict) else None
    return window if isinstance(window, int) and window > 0 else None


class _Fitting:
    """A fit under way."""

    def __init__(
        self,
        data: Dataset,
        config: FitConfig,
        limit: int,
        group: Group,
        on_batch: Callable[[int], None],
        stop: Callable[[], bool],
    ) -> None:
        self._device = choose_device(config.device)
        self._data, self._group = data, group
        train, self._validation = within(data.train, limit), None
        if config.val_fraction:
            train, self._validation = hold_out(train, config.val_fraction, seed=config.seed, name=data.name)
        window = min(config.shuffle_window or window_for(limit), train.images.nbytes)
        self._config = dataclasses.replace(
            config, device=self._device.type, epochs=config.last_epoch, shuffle_window=window
        )
        self._sample = training_sample(train, config.seed)
        test = within(data.test, limit)
        self._test = place(test, self._device, limit)
        left = limit - (self._test.images.nbytes if self._test is not test else 0)
        self._model = start(train, len(data.labels), config.seed, group).to(self._device)
        self._best: dict[str, Tensor] = {}
        self._solver = SOLVERS[config.solver](
            Task(
                model=self._model,
                train=place(train, self._device, left),
                class_weights=CLASS_WEIGHTS[config.class_weights](train, len(data.labels), self._device),
                device=self._device,
                config=config,
                on_batch=on_batch,
                stop=stop,
                group=group,
                window=window,
            )
        )
        self.history: list[Epoch] = []

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, the optimum is reached, or validation says to stop."""
        overdue = bool(self._best) and len(self.history) - self._best_epoch.epoch >= self._config.patience
        return len(self.history) >= self._config.last_epoch or bool(self._solver.converged) or overdue

    @property
    def _best_epoch(self) -> Epoch:
        """The epoch whose model is kept: the last one, or with validation the one of the lowest validation loss."""
        return min(reversed(self.history), key=lambda row: row.val_loss or 0.0)

    def epoch(self) -> bool:
        """Do an epoch, or the rest of one; return False where it was stopped half way."""
        started = time.perf_counter()
        number = len(self.history) + 1
        means = self._solver.epoch(number)
        if means is None:
            return False
        if not math.isfinite(means[0]):
            raise TrainerError(
                f"expected a finite loss, found {means[0]} in epoch {number}: "
                f"lower --lr, which was {self._config.lr:g}, or take --solver lbfgs"
            )
        val = self._evaluate(self._validation) if self._validation else (None, None)
        test = self._evaluate(self._test)
        seconds = time.perf_counter() - started
        row = Epoch(
            epoch=number,
            train_loss=means[0],
            train_accuracy=means[1],
            val_loss=val[0],
            val_accuracy=val[1],
            test_loss=test[0],
            test_accuracy=test[1],
            seconds=seconds,
        )
        self.history.append(row)
        if self._validation and self._best_epoch is row:
            self._best = {"weights": self._model.weights.clone(), "bias": self._model.bias.clone()}
        return True

    def result(self) -> Fit:
        """Return the fit as it stands; an unfinished one carries what it needs to go on."""
        tensors = self._model.tensors() | (self._best if self.finished else {})
        model = Model(**{name: tensor.cpu().clone() for name, tensor in tensors.items()})
        progress, state = None, {}
        if not self.finished:
            progress = {"history": [asdict(row) for row in self.history], "position": self._solver.position}
            best = {f"best.{name}": tensor for name, tensor in self._best.items()}
            state = {name: tensor.cpu().clone().numpy() for name, tensor in (self._solver.tensors() | best).items()}
        checkpoint = Checkpoint(
            **{name: tensor.numpy() for name, tensor in model.tensors().items()},
            **golden_examples(model, self._data.test),
            sample_images=self._sample,
            labels=self._data.labels,
            image=self._data.contract,
            provenance=self._provenance(),
            progress=progress,
            state=state,
        )
        return Fit(model, tuple(self.history), checkpoint, self.finished, self._solver.converged)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to where an unfinished fit of the same data stood. Raises ConfigError and CheckpointError."""
        if checkpoint.progress is None:
            raise ConfigError(
                "expected the checkpoint of an unfinished fit, found a finished one: nothing is left to do"
            )
        try:
            self._check_same(checkpoint)
            self._go_back(checkpoint, checkpoint.progress)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"expected an unfinished fit that `kit train` saved, found other content ({error}): train again"
            ) from None

    def _go_back(self, checkpoint: Checkpoint, progress: Mapping[str, Any]) -> None:
        """Take over what a checkpoint holds. Raises what comes of values that no fit has written."""
        tensors = {name: torch.tensor(array, device=self._device) for name, array in checkpoint.state.items()}
        self.history = [Epoch.of(row) for row in progress["history"]]
        for name, tensor in self._model.tensors().items():
            if f"best.{name}" in tensors and self.history:
                self._best[name] = tensor.clone().copy_(tensors[f"best.{name}"])
        self._model.weights.copy_(torch.tensor(checkpoint.weights))
        self._model.bias.copy_(torch.tensor(checkpoint.bias))
        self._solver.restore(progress["position"], tensors)

    def _check_same(self, checkpoint: Checkpoint) -> None:
        before = checkpoint.provenance["settings"]
        for name, value in asdict(self._config).items():
            if before.get(name) != value:
                raise ConfigError(
                    f"{name}: expected {before.get(name)!r}, as when this fit began, found {value!r}: "
                    "resume with the same settings"
                )
        then = checkpoint.provenance["data"], checkpoint.labels, checkpoint.mean.tolist(), checkpoint.std.tolist()
        now = self._provenance()["data"], self._data.labels, self._model.mean.tolist(), self._model.std.tolist()
        if then != now:
            raise ConfigError("expected the images that this fit began with, found others: resume with the same --data")

    def _evaluate(self, split: Split) -> tuple[float, float]:
        batches = minibatches(self._model, split, EVALUATION_BATCH, self._device, group=self._group)
        return evaluate(self._model, batches, group=self._group)

    def _provenance(self) -> dict[str, Any]:
        train, test = len(self._data.train), len(self._data.test)
        figures = asdict(self._best_epoch) if self.history else {}
        return {
            "data": {"name": self._data.name, "train_images": train, "test_images": test},
            "figures": {name: value for name, value in figures.items() if name in FIGURES and value is not None},
            "settings": asdict(self._config),
            "versions": {package: version(package) for package in ("numpy", "softmax-kit", "torch")},
        }


def start(train: Split, classes: int, seed: int, group: Group = ALONE) -> Model:
    """Make the model that training starts from: random weights, and the training pixels' statistics."""
    weights, bias = initialise(train.features, classes, torch.Generator().manual_seed(seed))
    mean, std = pixel_statistics(train.images, group)
    return Model(weights=weights, bias=bias, mean=mean, std=std)


def pixel_statistics(images: Tensor, group: Group = ALONE) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel: uint8 [N, H, W, C] → two float32 [C], in units of 0-255.

    Counted value by value, so that the result is exact for any number of images. A channel that never varies gets
    the deviation 1. group: the processes that count together, each a part of the same images.
    """
    counts = torch.zeros(images.shape[3], 256, dtype=torch.int64)
    size = max(1, STATISTICS_BLOCK // images.shape[1:].numel())
    for start in range(group.rank * size, len(images), group.size * size):
        channels = images[start : start + size].unbind(3)
        counts += torch.stack([channel.flatten().bincount(minlength=256) for channel in channels])
    counts = group.sum(counts)
    values = torch.arange(256, dtype=torch.float64)
    shares = counts.double() / counts.sum(dim=1, keepdim=True)  # [C, 256]
    mean = shares @ values
    std = (shares @ values**2 - mean**2).clamp_(min=0).sqrt_()
    return mean.float(), torch.where(std > 0, std, 1.0).float()


def balanced(train: Split, classes: int, device: torch.device) -> Tensor:
    """N / (K · images of the class) for each class: float32 [K], scikit-learn's "balanced"."""
    counts = train.targets.bincount(minlength=classes).double()
    return (len(train) / (classes * counts)).float().to(device)


CLASS_WEIGHTS: dict[str, Callable[[Split, int, torch.device], Tensor | None]] = {
    "none": lambda train, classes, device: None,  # noqa: ARG005 - the same call for both
    "balanced": balanced,
}


def training_sample(train: Split, seed: int) -> NDArray[np.uint8]:
    """Draw some training images to carry along: uint8 [S, H, W, C], at most 1 MiB, in the order of the split."""
    count = max(1, min(len(train), SAMPLE_COUNT, SAMPLE_BYTES // train.features))
    drawn = np.random.default_rng(seed).choice(len(train), count, replace=False)
    rows = torch.from_numpy(np.sort(drawn))
    return torch.cat([train.images[few] for few in rows.split(SAMPLE_ROWS)]).numpy()


def golden_examples(model: Model, split: Split) -> dict[str, Any]:
    """Choose a few images to carry along, the first of each class as far as they fit, and answer them.

    Returns golden_images, uint8 [G, H, W, C], and golden_probabilities, float32 [G, K].
    """
    room = max(2, min(GOLDEN_COUNT, GOLDEN_BYTES // split.features))
    firsts = [int((split.targets == target).nonzero()[0]) for target in split.targets.unique()[:room].tolist()]
    images = split.images[torch.tensor(firsts)]
    return {"golden_images": images.numpy(), "golden_probabilities": model.probabilities(images).numpy()}


def _ignore(_: int) -> None:
    return


def _never() -> bool:
    return False

"""Fitting: settings, the order of the minibatches, and the loop over epochs."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version

import torch
from torch import Tensor

from .checkpoint import Checkpoint
from .data import Dataset, Split
from .errors import ConfigError, TrainerError
from .softmax_regression import Batches, Model, Updater, evaluate, initialise, sgd, train_epoch

DEVICES = ("auto", "cpu", "cuda", "mps")
EVALUATION_BATCH = 4096
GOLDEN_COUNT = 16
GOLDEN_BYTES = 64 * 2**10


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Settings of a fit.

    epochs: passes over the training images, at least 1. batch_size: images a step, at least 1. lr: step size of the
    first step, above 0; it falls to 0 along half a cosine. momentum: 0 to below 1. weight_decay: λ of the penalty
    λ/2 · ‖W‖², at least 0. seed: of the weights' start and the order of the images. device: "auto" takes CUDA, then
    MPS, then the CPU. Raises ConfigError.
    """

    epochs: int = 10
    batch_size: int = 256
    lr: float = 0.03
    momentum: float = 0.9
    weight_decay: float = 1e-4
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        rules: list[tuple[str, bool, str]] = [
            ("epochs", self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("lr", 0 < self.lr < math.inf, "above 0"),
            ("momentum", 0 <= self.momentum < 1, "0 to below 1"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "at least 0"),
            ("seed", 0 <= self.seed < 2**63, "0 to 2⁶³ - 1"),
            ("device", self.device in DEVICES, f"one of {', '.join(DEVICES)}"),
        ]
        for name, holds, expected in rules:
            if not holds:
                raise ConfigError(f"{name}: expected {expected}, found {getattr(self, name)!r}")


@dataclass(frozen=True)
class Epoch:
    """Figures of one epoch: loss in nats, accuracy 0-1. Those of training are taken while the weights still move."""

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Fit:
    """What `fit` returns: the model, on the CPU; a row for each epoch; and the checkpoint to save or export."""

    model: Model
    history: tuple[Epoch, ...]
    checkpoint: Checkpoint


def fit(
    data: Dataset,
    config: FitConfig | None = None,
    *,
    on_epoch: Callable[[Epoch], None] | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> Fit:
    """Fit softmax regression to the training images.

    on_epoch: called after each epoch. on_batch: called with the number of images of each minibatch. The same data,
    settings and device give the same weights, bit for bit. Raises ConfigError, and TrainerError where the loss
    becomes infinite.
    """
    config = config or FitConfig()
    device = choose_device(config.device)
    generator = torch.Generator().manual_seed(config.seed)
    model = start(data, generator).to(device)
    train, test = (Split(half.images.to(device), half.targets.to(device)) for half in (data.train, data.test))
    updater = _updater(model, config, steps=config.epochs * math.ceil(len(train) / config.batch_size))
    history = []
    for epoch in range(1, config.epochs + 1):
        started = time.perf_counter()
        order = torch.randperm(len(train), generator=generator).to(device)
        batches = minibatches(train, config.batch_size, order)
        train_loss, train_accuracy = train_epoch(model, _counted(batches, on_batch), updater)
        if not math.isfinite(train_loss):
            raise TrainerError(
                f"expected a finite loss, found {train_loss} in epoch {epoch}: lower --lr, which was {config.lr:g}"
            )
        test_loss, test_accuracy = evaluate(model, minibatches(test, EVALUATION_BATCH))
        seconds = time.perf_counter() - started
        history.append(Epoch(epoch, train_loss, train_accuracy, test_loss, test_accuracy, seconds))
        if on_epoch:
            on_epoch(history[-1])
    model = model.to("cpu")
    return Fit(model, tuple(history), _checkpoint(model, data, replace(config, device=device.type), history[-1]))


def start(data: Dataset, generator: torch.Generator) -> Model:
    """Make the model that training starts from: random weights, and the training pixels' statistics."""
    images = data.train.images
    weights, bias = initialise(images[0].numel(), len(data.labels), generator)
    mean, std = pixel_statistics(images)
    return Model(weights=weights, bias=bias, mean=mean, std=std)


def pixel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel: uint8 [N, H, W, C] → two float32 [C], in units of 0-255.

    Counted value by value, so that the result is exact for any number of images. A channel that never varies gets
    the deviation 1.
    """
    counts = torch.stack([channel.flatten().bincount(minlength=256) for channel in images.unbind(3)])  # [C, 256]
    values = torch.arange(256, dtype=torch.float64)
    shares = counts.double() / counts.sum(dim=1, keepdim=True)
    mean = shares @ values
    std = (shares @ values**2 - mean**2).clamp_(min=0).sqrt_()
    return mean.float(), torch.where(std > 0, std, 1.0).float()


def _updater(model: Model, config: FitConfig, *, steps: int) -> Updater:
    """`sgd` with the settings of a fit, and its velocities and step sizes from call to call."""
    velocities = [torch.zeros_like(model.weights), torch.zeros_like(model.bias)]
    rates = cosine(config.lr, steps)

    def update(parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        decay = (config.weight_decay, 0.0)  # the bias is left out
        sgd(parameters, gradients, velocities, lr=next(rates), momentum=config.momentum, weight_decay=decay)

    return update


def cosine(lr: float, steps: int) -> Iterator[float]:
    """Step sizes that fall from `lr` to 0 along half a cosine (Loshchilov and Hutter 2017, without restarts)."""
    return (lr * (1 + math.cos(math.pi * step / steps)) / 2 for step in range(steps))


def choose_device(name: str) -> torch.device:
    """Turn "auto", "cpu", "cuda" or "mps" into a device that is there. Raises ConfigError where it is not."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device in there if there[device]))
    if not there[name]:
        raise ConfigError(f"expected {name}, found none that torch {torch.__version__} can use: take --device cpu")
    return torch.device(name)


def minibatches(split: Split, size: int, order: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    """Cut a split into minibatches of `size` images, the last one smaller; in `order` (int64 [N]) if one is given."""
    if order is None:
        yield from zip(split.images.split(size), split.targets.split(size), strict=True)
    else:
        for chosen in order.split(size):
            yield split.images[chosen], split.targets[chosen]


def _checkpoint(model: Model, data: Dataset, config: FitConfig, last: Epoch) -> Checkpoint:
    golden = golden_examples(data.test)
    figures = asdict(last)
    del figures["epoch"], figures["seconds"]
    packages = ("numpy", "softmax-kit", "torch")
    return Checkpoint(
        **{name: tensor.numpy() for name, tensor in vars(model).items()},
        golden_images=golden.numpy(),
        golden_probabilities=model.probabilities(golden).numpy(),
        labels=data.labels,
        image=data.contract,
        provenance={
            "data": {"name": data.name, "train_images": len(data.train), "test_images": len(data.test)},
            "figures": figures,
            "settings": asdict(config),
            "versions": {package: version(package) for package in packages},
        },
    )


def golden_examples(split: Split) -> Tensor:
    """Choose a few images to carry along: the first of each class, as far as they fit. uint8 [G, H, W, C]."""
    room = max(2, min(GOLDEN_COUNT, GOLDEN_BYTES // split.images[0].numel()))
    firsts = [int((split.targets == target).nonzero()[0]) for target in split.targets.unique()[:room].tolist()]
    return split.images[firsts]


def _counted(batches: Batches, on_batch: Callable[[int], None] | None) -> Batches:
    for images, labels in batches:
        yield images, labels
        if on_batch:
            on_batch(len(labels))

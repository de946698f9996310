"""An epoch of ours, against one sweep over the same numbers and against the textbook's epoch."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from trainer import Dataset, FitConfig
from trainer.distributed import ALONE
from trainer.fitting import start
from trainer.softmax_regression import Model
from trainer.solvers.sgd import SOLVERS, Task

from . import textbook
from .measure import check, comparison, interleaved
from .quality import recounted

CPU = torch.device("cpu")
OURS = "ours: an epoch of SGD, shuffled"
SWEEP = "a sweep: X·W, softmax, Xᵀ·(p − y), in float32"
SAME_LAYOUT = "the same sweep, with W laid out as ours"
TEXTBOOK = "the textbook's epoch"
PAUSE = 0.05  # seconds; OpenMP's threads hold their cores for more than 10 ms after a sweep, waiting for the next
LIMITS = {SWEEP: 1.5, TEXTBOOK: 1 / 30}


def compare(
    data: Dataset, peer: textbook.Images, *, rounds: int, textbook_rounds: int, floor: float = 0.8
) -> Iterator[str]:
    """Yield tables. peer: the training images as the textbook reads them. floor: the least sane test accuracy."""
    torch.manual_seed(0)
    ours = Ours(data, epochs=rounds + textbook_rounds + 2)
    sweep = Sweep(data, ours.model)
    sweep.check()
    yield comparison(
        interleaved({OURS: ours, SWEEP: sweep.as_written, SAME_LAYOUT: sweep.laid_out_as_ours}, rounds, pause=PAUSE),
        OURS,
        LIMITS,
    )
    network = textbook.network(ours.model.weights.shape[0], len(data.labels))
    optimiser = torch.optim.SGD(network.parameters(), lr=textbook.LR)
    loader: Any = textbook.batches(peer, shuffle=True)
    contenders: dict[str, Callable[[], object]] = {
        OURS: ours,
        TEXTBOOK: lambda: textbook.train_epoch(network, loader, optimiser),
    }
    yield comparison(interleaved(contenders, textbook_rounds, pause=PAUSE), OURS, LIMITS)
    shares = {
        "ours": recounted(ours.model, data.test),
        "textbook": textbook.accuracy(network, [(data.test.images.flatten(1) / 255, data.test.targets)]),
    }
    for name, share in shares.items():
        check(share >= floor, f"{name}: a test accuracy of at least {floor}", share)
    yield "test accuracy after all these epochs: " + ", ".join(f"{name} {share:.4f}" for name, share in shares.items())


class Ours:
    """The solver, made as a fit makes it; each call is the next epoch."""

    def __init__(self, data: Dataset, *, epochs: int) -> None:
        config = FitConfig(epochs=epochs, device="cpu")
        self.model: Model = start(data.train, len(data.labels), config.seed)
        self._epoch = 0
        self._solver = SOLVERS[config.solver](
            Task(
                model=self.model,
                train=data.train,
                class_weights=None,
                device=CPU,
                config=config,
                on_batch=lambda _: None,
                stop=lambda: False,
                group=ALONE,
                window=data.train.images.nbytes,
            )
        )

    def __call__(self) -> None:
        """Do the next epoch."""
        self._epoch += 1
        self._solver.epoch(self._epoch)


class Sweep:
    """Forward and backward once over all images, normalised beforehand: the least that an epoch has to compute."""

    def __init__(self, data: Dataset, model: Model) -> None:
        self._targets = data.train.targets
        self._features = model.features(data.train.images)  # [N, D]
        self._onehot = torch.nn.functional.one_hot(data.train.targets, len(data.labels)).float()  # [N, K]
        self._weights = model.weights.clone(memory_format=torch.contiguous_format)  # [D, K], a pixel's side by side
        self._transposed = self._weights.T.contiguous()  # [K, D], a class's side by side

    def as_written(self) -> Tensor:
        """Return the summed gradient, [D, K]."""
        probabilities = torch.softmax(self._features @ self._weights, 1)
        return self._features.T @ (probabilities - self._onehot)

    def laid_out_as_ours(self) -> Tensor:
        """Return the same, as its transpose [K, D]."""
        probabilities = torch.softmax(self._transposed @ self._features.T, 0)
        return (probabilities - self._onehot.T) @ self._features

    def check(self) -> None:
        """Compare both gradients with autograd's."""
        weights = self._weights.clone().requires_grad_()
        loss = torch.nn.functional.cross_entropy(self._features @ weights, self._targets)
        (expected,) = torch.autograd.grad(loss, weights)
        for gradient in (self.as_written(), self.laid_out_as_ours().T):
            off = float((gradient / len(self._targets) - expected).abs().max())
            check(off < 1e-4, "autograd's gradient within 1e-4", off)

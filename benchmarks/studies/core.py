"""Our epoch, against one forward and backward pass over the same data, and against the textbook's epoch."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from trainer import Dataset, FitConfig
from trainer.distributed import ALONE
from trainer.softmax_regression import Model
from trainer.solvers.sgd import Sgd
from trainer.solvers.task import Task
from trainer.start import initial_model

from ..peers import textbook
from ..tools.measure import check, comparison, interleaved
from .quality import recounted

CPU = torch.device("cpu")
OURS = "ours: an epoch of SGD, shuffled"
SWEEP = "a sweep: X·W, softmax, Xᵀ·(Ŷ − Y), in float32"
SAME_LAYOUT = "the same sweep, classes first as in ours"
TEXTBOOK = "the textbook's epoch"
PAUSE = 0.05  # seconds; after a sweep OpenMP's threads busy-wait for more than 10 ms
LIMITS = {SWEEP: 1.5, TEXTBOOK: 1 / 30}


def compare(
    data: Dataset, peer: textbook.Images, *, rounds: int, textbook_rounds: int, floor: float = 0.8
) -> Iterator[str]:
    """Yield tables.

    peer: the training images as the textbook reads them.
    floor: test accuracy below which a model has not learned.
    """
    torch.manual_seed(0)
    ours = Ours(data, epochs=rounds + textbook_rounds + 2)
    sweep = Sweep(data, ours.model)
    sweep.check()
    yield comparison(
        interleaved({OURS: ours, SWEEP: sweep.as_written, SAME_LAYOUT: sweep.laid_out_as_ours}, rounds, pause=PAUSE),
        OURS,
        LIMITS,
    )
    network = textbook.network(ours.model.weights.shape[1], len(data.labels))
    optimiser = torch.optim.SGD(network.parameters(), lr=textbook.LR)
    loader: Any = textbook.batches(peer, shuffle=True)
    contenders: dict[str, Callable[[], object]] = {
        OURS: ours,
        TEXTBOOK: lambda: textbook.train_epoch(network, loader, optimiser),
    }
    yield comparison(interleaved(contenders, textbook_rounds, pause=PAUSE), OURS, LIMITS)
    shares = {
        "ours": recounted(ours.model, data.test),
        "textbook": textbook.accuracy(network, [(data.test.images[:].flatten(1) / 255, data.test.targets)]),
    }
    for name, share in shares.items():
        check(share >= floor, f"{name}: a test accuracy of at least {floor}", share)
    yield "test accuracy after all these epochs: " + ", ".join(f"{name} {share:.4f}" for name, share in shares.items())


class Ours:
    """SGD, made as `fit` makes it; each call is the next epoch."""

    def __init__(self, data: Dataset, *, epochs: int) -> None:
        config = FitConfig(solver="sgd", epochs=epochs, device="cpu")
        self.model: Model = initial_model(data.train, len(data.labels), config)
        self._epoch = 0
        self._solver = Sgd(
            Task(
                model=self.model,
                train=data.train,
                class_weights=None,
                device=CPU,
                config=config,
                on_batch=lambda _: None,
                on_choice=lambda _: None,
                stop=lambda: False,
                group=ALONE,
                window=data.train.images.nbytes,
            )
        )

    def __call__(self) -> None:
        """Run the next epoch."""
        self._epoch += 1
        self._solver.epoch(self._epoch)


class Sweep:
    """A forward and backward pass over all images, standardised beforehand: the least that an epoch has to compute."""

    def __init__(self, data: Dataset, model: Model) -> None:
        self._targets = data.train.targets
        self._features = model.features(data.train.images[:])  # [N, D]
        self._onehot = torch.nn.functional.one_hot(data.train.targets, len(data.labels)).float()  # [N, K]
        self._weights = model.weights.clone()  # [K, D]
        self._transposed = self._weights.T.contiguous()  # [D, K]

    def as_written(self) -> Tensor:
        """Return the summed gradient, [D, K]."""
        probabilities = torch.softmax(self._features @ self._transposed, 1)
        return self._features.T @ (probabilities - self._onehot)

    def laid_out_as_ours(self) -> Tensor:
        """Return the same, as its transpose [K, D]."""
        probabilities = torch.softmax(self._weights @ self._features.T, 0)
        return (probabilities - self._onehot.T) @ self._features

    def check(self) -> None:
        """Compare both gradients with autograd's."""
        weights = self._weights.clone().requires_grad_()
        loss = torch.nn.functional.cross_entropy(self._features @ weights.T, self._targets)
        (expected,) = torch.autograd.grad(loss, weights)
        for gradient in (self.as_written().T, self.laid_out_as_ours()):
            off = float((gradient / len(self._targets) - expected).abs().max())
            check(off < 1e-4, "autograd's gradient within 1e-4", off)

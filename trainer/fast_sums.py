"""The chapter's sums, 64 minibatches at a time, since a small operation takes as long as a larger one."""

import torch
from torch import Tensor

from .distributed import ALONE, Group
from .softmax_regression import cross_entropy


class FastAccumulator:
    """`softmax_regression.Accumulator`, over all processes of a group.

    The sums stay on their device until they are read.

    start: sums of an interrupted epoch: loss, correct predictions, images.
    class_weights: [K], the weight of each class's images; None for 1.
    """

    KEEP = 64

    def __init__(self, *start: float, class_weights: Tensor | None = None, group: Group = ALONE) -> None:
        self._sums: tuple[Tensor | float, ...] = start or (0.0, 0.0, 0.0)
        self._kept: list[tuple[Tensor, Tensor]] = []
        self._class_weights, self._group = class_weights, group

    def add(self, logits: Tensor, targets: Tensor) -> None:
        """Add a minibatch: logits [K, B], targets int64 [B]."""
        self._kept.append((logits, targets))
        if len(self._kept) == self.KEEP:
            self._sum_up()

    def sums(self) -> tuple[float, ...]:
        """Read the sums: loss, correct predictions, images."""
        self._sum_up()
        own = torch.tensor([float(value) for value in self._sums], dtype=torch.float64)
        return tuple(self._group.sum(own).tolist())

    def means(self) -> tuple[float, float]:
        """Mean loss and accuracy."""
        loss, correct, images = self.sums()
        return loss / images, correct / images

    def _sum_up(self) -> None:
        if not self._kept:
            return
        logits = torch.cat([kept for kept, _ in self._kept], dim=1)  # [K, N]
        targets = torch.cat([kept for _, kept in self._kept])
        self._kept.clear()
        if count := len(targets):
            loss, correct, images = self._sums
            loss += cross_entropy(logits, targets, self._class_weights) * count
            self._sums = loss, correct + fast_accuracy(logits, targets) * count, images + count


def fast_accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    """`softmax_regression.accuracy` without argmax, which takes many times as long on few classes."""
    classes = len(logits)
    largest = logits.clone().eq_(logits.amax(0))  # [K, N] of 1 and 0
    countdown = torch.arange(classes, 0, -1, device=logits.device)[:, None]
    first = largest.mul_(countdown).amax(0)  # [N], K less the predicted class
    return (first == classes - targets).float().mean()

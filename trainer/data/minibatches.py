"""From a split to minibatches: images gathered a block at a time, by a thread, ahead of the work on them."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from ..distributed import ALONE, Group
from ..softmax_regression import Model, one_hot
from .dataset import Split
from .mapped import take
from .order import in_blocks, in_order

BLOCK_BYTES = 2**23

Item = TypeVar("Item")
Result = TypeVar("Result")


class Minibatch(NamedTuple):
    """B images. features: [B, D]. targets: int64 [B]. onehot: float32 [K, B]."""

    features: Tensor
    targets: Tensor
    onehot: Tensor


class Block(NamedTuple):
    """Several minibatches. pixels: [n, D]. targets: int64 [n]. onehot: float32 [K, n]. sizes: of each."""

    pixels: Tensor
    targets: Tensor
    onehot: Tensor
    sizes: list[int]


def minibatches(
    model: Model,
    split: Split,
    size: int,
    device: torch.device,
    *,
    order: Iterable[Tensor] | None = None,
    skip: int = 0,
    group: Group = ALONE,
) -> Iterator[Minibatch]:
    """Cut a split into minibatches of `size` images, the last one smaller.

    Features are always written to the same memory: they hold until the next minibatch is asked for.

    model: standardises the pixels.
    order: rows of the images, int64 [n] at a time; by default as they lie.
    skip: minibatches to leave out at the start.
    group: the processes that share each minibatch; this one gets its part, which may be empty.
    """
    classes, dimension = model.weights.shape
    each = dimension * split.images.dtype.itemsize + classes * model.bias.itemsize
    per_block = max(1, BLOCK_BYTES // (size * each))
    longest = min(per_block * size, len(split))
    gatherer, rows = Gatherer(model, split, longest, device), RowBuffer(model, min(size, longest))
    parts = (
        group.part(block, size)
        for block in in_blocks(in_order(len(split), longest) if order is None else order, size, per_block, skip)
    )
    for block in ahead(gatherer.gather, parts):
        columns = block.onehot.split(block.sizes, dim=1)
        for images, targets, onehot in zip(
            block.pixels.split(block.sizes), block.targets.split(block.sizes), columns, strict=True
        ):
            yield Minibatch(rows.features(images), targets, onehot)


class RowBuffer:
    """`Model.features`, with one multiplication a pixel value, written to the same memory each time.

    (x − mean) / std  =  x · (1 / std) − mean / std. size: of the largest minibatch.
    """

    def __init__(self, model: Model, size: int) -> None:
        pixels = model.weights.shape[1] // model.mean.numel()
        self._scale = (1 / model.std).flatten().repeat(pixels)  # [D]
        self._offset = (-model.mean / model.std).flatten().repeat(pixels)  # [D]
        self._rows = model.weights.new_empty((size, model.weights.shape[1]))

    def features(self, pixels: Tensor) -> Tensor:
        """[B, D] → [B, D], of the weights' dtype; holds until the next call."""
        rows = self._rows if len(pixels) == len(self._rows) else self._rows[: len(pixels)]
        return torch.addcmul(self._offset, rows.copy_(pixels), self._scale, out=rows)


class Gatherer:
    """Copies a split's images to one of two buffers in turn: a block holds until the next but one is gathered.

    longest: images of the largest block.
    """

    def __init__(self, model: Model, split: Split, longest: int, device: torch.device) -> None:
        self._model, self._split, self._device = model, split, device
        self._home = split.targets.device
        self._buffer, self._other = torch.empty(
            (2, longest, *split.images.shape[1:]), dtype=split.images.dtype, device=self._home
        )

    @torch.inference_mode()
    def gather(self, part: tuple[Tensor, list[int]]) -> Block:
        """Gather the images at some rows, int64 [n], of minibatches of some sizes."""
        rows, sizes = part[0].to(self._home), part[1]
        self._buffer, self._other = self._other, self._buffer
        images = take(self._split.images, rows, self._buffer[: len(rows)])
        targets = self._split.targets.index_select(0, rows).to(self._device)
        onehot = one_hot(targets, len(self._model.weights)).to(self._model.weights.dtype)
        return Block(images.to(self._device).flatten(1), targets, onehot, sizes)


def ahead(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield the result of `work` on each item in order; a thread works on the next one meanwhile."""
    waiting = iter(items)
    with ThreadPoolExecutor(1) as thread:
        following = [thread.submit(work, item) for item in islice(waiting, 1)]
        while following:
            result = following.pop().result()
            following = [thread.submit(work, item) for item in islice(waiting, 1)]
            yield result

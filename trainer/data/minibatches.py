"""From a split to minibatches: where the images live, and the order in which they come."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeAlias, cast

import torch
from torch import Tensor

from ..distributed import ALONE, Group
from ..errors import ConfigError
from ..softmax_regression import Model
from .dataset import Split
from .mapped import MappedImages, take
from .memory import free_on

DEVICE_SHARE = 0.8
WORK_PER_THREAD = 2**22
BLOCK_BYTES = 2**23
GROWTH = 4  # from block to block, since a minibatch is gathered in a fraction of the time that it is worked on
BLOCKS_PER_WINDOW = 64
LEAST_BLOCK = 2**16  # bytes that systems read from a mapped file at a time anyway
KEEP_SHARE = 1 / 8

Gathered: TypeAlias = Future[tuple[Tensor, tuple[Tensor, ...], list[int]]]


def choose_device(name: str) -> torch.device:
    """Turn "auto", "cpu", "cuda" or "mps" into a device that is there. Raises ConfigError where it is not."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device in there if there[device]))
    if not there[name]:
        raise ConfigError(f"expected {name}, found none that torch {torch.__version__} can use: take --device cpu")
    return torch.device(name)


def within(split: Split, limit: int) -> Split:
    """Let images that are mapped from a file keep an eighth of the limit, in bytes, in this process."""
    if not isinstance(split.images, MappedImages):
        return split
    return Split(cast(Tensor, split.images.keeping(int(KEEP_SHARE * limit))), split.targets)


def place(split: Split, device: torch.device, limit: int) -> Split:
    """Move a split to the device if all its images fit there; otherwise leave it where it is, to be streamed.

    limit: bytes that images may take of this machine's memory.
    """
    if split.images.nbytes > DEVICE_SHARE * free_on(device, limit):
        return split
    return Split(split.images.to(device), split.targets.to(device))


def minibatches(
    model: Model,
    split: Split,
    size: int,
    device: torch.device,
    *,
    order: Iterable[Tensor] | None = None,
    skip: int = 0,
    of_labels: bool = False,
    group: Group = ALONE,
) -> Iterator[tuple[Tensor, ...]]:
    """Cut a split into minibatches of `size` images, the last one smaller: features [B, D] and labels int64 [B].

    model: normalises the pixels. order: which image comes when, int64 [n] at a time; by default as they lie. skip:
    minibatches to leave out at the start. of_labels: whether −onehot / B comes as a third, float32 [K, B]. group: the
    processes that share each minibatch; this one gets its part, which may be empty. Images are gathered in blocks, the
    next one by a thread while the minibatches of the last are worked on. Features are always written to the same
    memory: they hold until the next minibatch is asked for.
    """
    shape, classes = split.images.shape[1:], model.bias.numel()
    per_image = shape.numel() + of_labels * classes * model.bias.itemsize
    per_block = max(1, BLOCK_BYTES // (size * per_image))
    longest = min(per_block * size, len(split))
    home = split.targets.device
    buffers = torch.empty((2, longest, *shape), dtype=torch.uint8, device=home)
    rows = torch.empty((min(size, longest), shape.numel()), dtype=model.weights.dtype, device=device)

    @torch.inference_mode()
    def gather(number: int, block: Tensor) -> tuple[Tensor, tuple[Tensor, ...], list[int]]:
        part, sizes = group.part(block, size)
        chosen = part.to(home)
        images = take(split.images, chosen, buffers[number % 2, : len(chosen)])
        labels = split.targets.index_select(0, chosen).to(device)
        targets = (labels, _of_labels(labels, classes, sizes)) if of_labels else (labels,)
        return images.to(device).flatten(1), targets, sizes

    blocks = enumerate(_in_blocks(_as_they_lie(len(split), longest) if order is None else order, size, per_block, skip))
    with ThreadPoolExecutor(1) as thread:
        following: Gathered | None = thread.submit(gather, *next(blocks))
        while following:
            images, targets, sizes = following.result()
            following = thread.submit(gather, *block) if (block := next(blocks, None)) else None
            parts = (target.split(sizes, dim=-1) for target in targets)
            for count, batch, *answers in zip(sizes, images.split(sizes), *parts, strict=True):
                yield model.features(batch, out=rows if count == size else rows[:count]), *answers


def _of_labels(labels: Tensor, classes: int, sizes: list[int]) -> Tensor:
    """−onehot / B of each minibatch, side by side: float32 [K, n], for less than it takes one by one."""
    counts = torch.tensor(sizes)
    shares = (1 / counts).repeat_interleave(counts).to(labels.device)
    return torch.zeros(classes, labels.numel(), device=labels.device).scatter_(0, labels[None], -shares[None])


def _as_they_lie(count: int, size: int) -> Iterator[Tensor]:
    return (torch.arange(start, min(start + size, count)) for start in range(0, count, size))


def _in_blocks(order: Iterable[Tensor], size: int, per_block: int, skip: int) -> Iterator[Tensor]:
    """Cut an order anew into blocks of minibatches of `size` images, without the first `skip` of these.

    The first block has one minibatch, so that there is little to wait for; each has more, up to `per_block`.
    """
    rest, skipped, length = torch.empty(0, dtype=torch.int64), skip * size, size
    for window in order:
        if skipped >= len(window):
            skipped -= len(window)
            continue
        rest, skipped = torch.cat([rest, window[skipped:]]), 0
        while len(rest) >= length:
            yield rest[:length]
            rest, length = rest[length:], min(GROWTH * length, per_block * size)
    if len(rest):
        yield rest


@contextmanager
def threads_for(work: int) -> Iterator[None]:
    """Let torch use only as many threads as pay for waiting on each other; work: multiplications in a minibatch."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, work // WORK_PER_THREAD)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def shuffled(count: int, size: int, *, window: int, seed: int, epoch: int) -> Iterator[Tensor]:
    """Order of the images in an epoch, int64 [n] at a time; it depends on nothing but these numbers.

    count: of the images. size: bytes of one. window: bytes of the images that are shuffled among each other. If that is
    all of them, the order is a random permutation. Otherwise they are cut into blocks, as they lie, a window takes
    blocks from anywhere, and the images in it come at random.
    """
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    if count * size <= window:
        yield torch.randperm(count, generator=generator)
        return
    block = max(1, max(LEAST_BLOCK, window // BLOCKS_PER_WINDOW) // size)
    starts = torch.randperm(-(-count // block), generator=generator) * block
    for chosen in starts.split(max(1, window // (block * size))):
        images = (chosen[:, None] + torch.arange(block)).flatten()
        images = images[images < count]
        yield images[torch.randperm(len(images), generator=generator)]

"""The order in which images come, and how it is cut into blocks of minibatches."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

GROWTH = 4  # from block to block, since a minibatch is gathered in a fraction of the time that it is worked on
BLOCKS_PER_WINDOW = 64
LEAST_BLOCK = 2**16  # bytes that systems read from a mapped file at a time anyway


def in_order(count: int, size: int) -> Iterator[Tensor]:
    """Rows 0 to count - 1 in this order, int64, `size` at a time."""
    return (torch.arange(start, min(start + size, count)) for start in range(0, count, size))


def shuffled(count: int, size: int, *, window: int, seed: int, epoch: int) -> Iterator[Tensor]:
    """Order of the images in an epoch, int64 [n] at a time; it depends on nothing but these numbers.

    If all images fit into the window, the order is a random permutation. Otherwise they are cut into blocks, in order;
    a window takes blocks from anywhere, and its images come at random.

    count: number of images.
    size: bytes of an image.
    window: bytes of images that are shuffled together.
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


def in_blocks(order: Iterable[Tensor], size: int, per_block: int, skip: int) -> Iterator[Tensor]:
    """Cut an order into blocks of at most `per_block` minibatches of `size` images, without the first `skip` of these.

    The first block has one minibatch, so that work begins at once; each has more, up to `per_block`.
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

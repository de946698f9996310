"""From a split to minibatches: where the images live, and the order in which they come."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Tensor

from .data import Split
from .errors import ConfigError
from .softmax_regression import Model

DEVICE_SHARE = 0.8
WORK_PER_THREAD = 2**22
BLOCK_BYTES = 2**22


def choose_device(name: str) -> torch.device:
    """Turn "auto", "cpu", "cuda" or "mps" into a device that is there. Raises ConfigError where it is not."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device in there if there[device]))
    if not there[name]:
        raise ConfigError(f"expected {name}, found none that torch {torch.__version__} can use: take --device cpu")
    return torch.device(name)


def place(split: Split, device: torch.device) -> Split:
    """Move a split to the device if all its images fit there; otherwise leave it where it is, to be streamed."""
    if split.images.nbytes > DEVICE_SHARE * free_memory(device):
        return split
    return Split(split.images.to(device), split.targets.to(device))


def free_memory(device: torch.device) -> float:
    """Bytes that the device has free for images; the CPU has them in memory, or mapped, already."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return float(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return float("inf")


def minibatches(
    model: Model, split: Split, size: int, device: torch.device, *, order: Tensor | None = None, skip: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Cut a split into minibatches of `size` images, the last one smaller: features [B, D] and labels int64 [B].

    model: normalises the pixels. order: int64 [N], which image comes when; by default as they lie. skip: minibatches to
    leave out at the start. Images are gathered in blocks, the next one by a thread while the minibatches of the last
    are worked on. Features are always written to the same memory: they hold until the next minibatch is asked for.
    """
    order = torch.arange(len(split)) if order is None else order
    pixels = split.images.flatten(1)  # [N, D]
    per_block = max(1, BLOCK_BYTES // (size * pixels[0].nbytes))
    blocks = order[skip * size :].to(pixels.device).split(per_block * size)
    buffers = pixels.new_empty((2, len(blocks[0]), pixels.shape[1]))
    rows = torch.empty((min(size, len(blocks[0])), pixels.shape[1]), dtype=model.weights.dtype, device=device)

    @torch.inference_mode()
    def gather(block: int) -> tuple[Tensor, Tensor]:
        chosen = blocks[block]
        images = torch.index_select(pixels, 0, chosen, out=buffers[block % 2, : len(chosen)])
        return images.to(device), split.targets.index_select(0, chosen).to(device)

    with ThreadPoolExecutor(1) as thread:
        pending = thread.submit(gather, 0)
        for block in range(len(blocks)):
            images, labels = pending.result()
            if block + 1 < len(blocks):
                pending = thread.submit(gather, block + 1)
            for first in range(0, len(images), size):
                batch = images[first : first + size]
                yield model.features(batch, out=rows[: len(batch)]), labels[first : first + size]


@contextmanager
def threads_for(work: int) -> Iterator[None]:
    """Let torch use only as many threads as pay for waiting on each other; work: multiplications in a minibatch."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, work // WORK_PER_THREAD)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def shuffled(count: int, *, seed: int, epoch: int) -> Tensor:
    """Order of the images in an epoch: a permutation int64 [count] that depends on the seed and the epoch alone."""
    return torch.randperm(count, generator=torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63))

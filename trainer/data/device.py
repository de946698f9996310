"""The device that computes: which one, whether a split's images fit there, and how many threads pay."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from ..errors import ConfigError
from .dataset import Split
from .mapped import Images, MappedImages
from .memory import free_on

DEVICE_SHARE = 0.8
WORK_PER_THREAD = 2**22
KEEP_SHARE = 1 / 8


def choose_device(name: str) -> torch.device:
    """Turn "auto", "cpu", "cuda" or "mps" into a device that is there. Raises ConfigError where it is not."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device in there if there[device]))
    if not there[name]:
        raise ConfigError(f"expected {name}, found no such device in torch {torch.__version__}: use --device cpu")
    return torch.device(name)


def within(split: Split, limit: int) -> Split:
    """Let images that are mapped from a file keep an eighth of the limit, in bytes, in this process."""
    keep = int(KEEP_SHARE * limit)
    features = None if split.features is None else _keeping(split.features, keep)
    return replace(split, images=_keeping(split.images, keep), features=features)


def _keeping(images: Images, keep: int) -> Images:
    return images.keeping(keep) if isinstance(images, MappedImages) else images


def place(splits: Iterable[Split], device: torch.device, limit: int) -> list[Split]:
    """Move splits to the device, in this order, as long as all images of one fit; return others as they are, to stream.

    limit: bytes of this machine's memory that images may take.
    """
    placed = []
    for split in splits:
        size = split.images.nbytes
        if size > DEVICE_SHARE * free_on(device, limit):
            placed.append(split)
        else:
            placed.append(replace(split, images=split.images.to(device), targets=split.targets.to(device)))
            limit -= size
    return placed


@contextmanager
def threads_for(work: int) -> Iterator[None]:
    """Let torch use only as many threads as pay for their synchronisation; work: multiplications in a minibatch."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, work // WORK_PER_THREAD)))
    try:
        yield
    finally:
        torch.set_num_threads(before)

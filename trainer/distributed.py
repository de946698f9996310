"""Several processes that train one model together, as torchrun starts them; a process alone is a group of one."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor

from .errors import ConfigError, TrainerError

WORLD_SIZE = "WORLD_SIZE"
PATIENCE = timedelta(days=1)  # for the first process of a machine to decode all images
CPU = torch.device("cpu")
Shared = TypeVar("Shared")


class Group:
    """The processes that train together: this one is `rank` of `size`. device: what they exchange tensors from.

    Every process asks the same things in the same order, and gets the same answers, bit for bit.
    """

    def __init__(self, rank: int = 0, size: int = 1, device: torch.device = CPU) -> None:
        self.rank, self.size, self._device = rank, size, device

    def mean(self, tensors: Sequence[Tensor], count: int) -> Sequence[Tensor]:
        """Average tensors over the processes, each weighted by the number of images that it took them over."""
        if self.size == 1:
            return tensors
        sums = self.sum(torch.cat([*(tensor.flatten() * count for tensor in tensors), tensors[0].new_tensor([count])]))
        parts = (sums[:-1] / sums[-1]).split([tensor.numel() for tensor in tensors])
        return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over the processes, in place."""
        if self.size > 1:
            moved = tensor.to(self._device)
            with _together():
                torch.distributed.all_reduce(moved)
            tensor.copy_(moved)
        return tensor

    def any(self, flag: bool) -> bool:
        """Whether it holds in any of the processes."""
        return bool(self.sum(torch.tensor(int(flag))))

    def shared(self, value: Shared) -> Shared:
        """Return the first process's value."""
        if self.size == 1:
            return value
        values = [value]
        with _together():
            torch.distributed.broadcast_object_list(values)
        return values[0]

    def in_turn(self, work: Callable[[], Shared]) -> Shared:
        """Do what leaves something on the disk in the first process of each machine, and then in the others."""
        if local_rank() > 0:
            self._wait()
        value = work()
        if local_rank() == 0:
            self._wait()
        return value

    def _wait(self) -> None:
        if self.size > 1:
            with _together():
                torch.distributed.barrier()


ALONE = Group()


def local_rank() -> int:
    """Which of the processes on this machine this is, counted from 0."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def restarted() -> bool:
    """Whether torchrun has started this process anew after one of its group had died."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


@contextmanager
def _together() -> Iterator[None]:
    """Turn what torch raises when another process has gone into a TrainerError."""
    try:
        yield
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise TrainerError(
            f"expected an answer from all processes, found that one of them has gone ({reason}): see what it said, and "
            "start with torchrun --max-restarts to go on by itself"
        ) from None


@contextmanager
def group(device: torch.device) -> Iterator[Group]:
    """Join the processes that torchrun has started with this one, by NCCL on CUDA and by Gloo elsewhere.

    Without torchrun it is a group of one. Raises ConfigError where the others cannot be reached.
    """
    if WORLD_SIZE not in os.environ:
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(local_rank())
    try:
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"expected to join {os.environ[WORLD_SIZE]} processes, found: {' '.join(str(error).split())[:200]}: "
            "start them with torchrun"
        ) from None
    try:
        place = torch.device("cuda", local_rank()) if device.type == "cuda" else CPU
        yield Group(torch.distributed.get_rank(), torch.distributed.get_world_size(), place)
    finally:
        torch.distributed.destroy_process_group()

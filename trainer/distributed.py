"""Several processes that train one model together, as torchrun starts them; a process alone is a group of one."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore

from .errors import ConfigError, TrainerError

WORLD_SIZE = "WORLD_SIZE"
TOUCH_SECONDS = 0.05
CPU = torch.device("cpu")
Shared = TypeVar("Shared")


class Group:
    """The processes that train together: this one is `rank` of `size`. device: what they exchange tensors from.

    Every process asks the same things in the same order, and gets the same answers, bit for bit.
    """

    def __init__(self, rank: int = 0, size: int = 1, device: torch.device = CPU) -> None:
        self.rank, self.size, self._device = rank, size, device

    def part(self, order: Tensor, size: int) -> tuple[Tensor, list[int]]:
        """Take this process's images, int64 [n], of each minibatch of `size`; also says how many they are of each."""
        if self.size == 1:
            return order, [min(size, len(order) - start) for start in range(0, len(order), size)]
        parts = [batch.tensor_split(self.size)[self.rank] for batch in order.split(size)]
        return torch.cat(parts), [len(part) for part in parts]

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
        """Do what leaves something on the disk in the first process of each machine, and then in the others.

        It may take long: the processes stay in touch meanwhile, and see at once if one of them dies.
        """
        if self.size == 1:
            return work()
        first = _in_background(work) if local_rank() == 0 else None
        while self.any(first is not None and not first.done()):
            time.sleep(TOUCH_SECONDS)
        return first.result() if first else work()


ALONE = Group()


def local_rank() -> int:
    """Which of the processes on this machine this is, counted from 0."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def restarted() -> bool:
    """Whether torchrun has started this process anew after one of its group had died."""
    return _attempt() != "0"


def _attempt() -> str:
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")


def _in_background(work: Callable[[], Shared]) -> "Future[Shared]":
    """Start work in a thread that does not keep this process from ending."""
    future: Future[Shared] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


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
    place = CPU
    if device.type == "cuda":
        place = torch.device("cuda", local_rank())
        torch.cuda.set_device(place)
    try:
        store, rank, size = next(torch.distributed.rendezvous("env://"))  # type: ignore[attr-defined]
        store = PrefixStore(_attempt(), store)  # apart from where dead processes said that they were
        torch.distributed.init_process_group(
            "nccl" if device.type == "cuda" else "gloo", store=store, rank=rank, world_size=size
        )
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"expected to join {os.environ[WORLD_SIZE]} processes, found: {' '.join(str(error).split())[:200]}: "
            "start them with torchrun"
        ) from None
    try:
        yield Group(rank, size, place)
    finally:
        torch.distributed.destroy_process_group()

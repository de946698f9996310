"""Data-parallel training by the processes that torchrun starts; a single process is a group of one."""

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

from runtime.text import one_line

from .errors import ConfigError, TrainerError

WORLD_SIZE = "WORLD_SIZE"
TOUCH_SECONDS = 0.05
CPU = torch.device("cpu")
Shared = TypeVar("Shared")


class Group:
    """The processes that train together: this one is `rank` of `size`.

    Every process makes the same calls in the same order, and gets the same results, bit for bit.

    device: holds the tensors that they exchange.
    """

    def __init__(self, rank: int = 0, size: int = 1, device: torch.device = CPU) -> None:
        self.rank, self.size, self._device = rank, size, device

    def part(self, order: Tensor, size: int) -> tuple[Tensor, list[int]]:
        """This process's images, int64 [n], of each minibatch of `size`, and how many of each minibatch."""
        if self.size == 1:
            return order, [min(size, len(order) - start) for start in range(0, len(order), size)]
        parts = [batch.tensor_split(self.size)[self.rank] for batch in order.split(size)]
        return torch.cat(parts), [len(part) for part in parts]

    def mean(self, tensors: Sequence[Tensor], count: int) -> Sequence[Tensor]:
        """Average tensors over the processes, weighted by the number of images, `count`, of each."""
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
        """Do work that writes a cache in the first process of each machine, then in the others.

        Meanwhile the processes exchange messages, so that each sees at once if another dies.
        """
        if self.size == 1:
            return work()
        first = _in_background(work) if local_rank() == 0 else None
        self._wait(first)
        return first.result() if first else work()

    def side_by_side(self, work: Callable[[], Shared]) -> Shared:
        """Do work in all processes at once. Raises the error of the first one that failed, in each of them."""
        if self.size == 1:
            return work()
        own = _in_background(work)
        self._wait(own)
        errors = [own.exception()]
        if self.any(errors[0] is not None):
            found: list[BaseException | None] = [None] * self.size
            with _together():
                torch.distributed.all_gather_object(found, errors[0])
            raise next(error for error in found if error is not None)
        return own.result()

    def _wait(self, work: "Future[Shared] | None") -> None:
        """Exchange messages until the work of all processes is done."""
        while self.any(work is not None and not work.done()):
            time.sleep(TOUCH_SECONDS)


ALONE = Group()


def local_rank() -> int:
    """Index of this process among those on this machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def local_size() -> int:
    """How many processes train on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def restarted() -> bool:
    """Whether torchrun has restarted this process after one of its group died."""
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
    """Turn the error of a collective operation into a TrainerError."""
    try:
        yield
    except RuntimeError as error:
        raise TrainerError(
            f"expected all processes to respond, found that one has ended ({one_line(error)[:200]}): see its error "
            "message, or start with torchrun --max-restarts to restart automatically"
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
        store = PrefixStore(_attempt(), store)  # not the keys of processes that have died
        torch.distributed.init_process_group(
            "nccl" if device.type == "cuda" else "gloo", store=store, rank=rank, world_size=size
        )
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"expected to join {os.environ[WORLD_SIZE]} processes, found: {one_line(error)[:200]}: "
            "start them with torchrun"
        ) from None
    try:
        yield Group(rank, size, place)
    finally:
        torch.distributed.destroy_process_group()

"""Worker processes. Each imports this module, so it loads nothing heavy."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from .cgroup import quota

AHEAD = 4  # items per process whose results may wait for the caller
MAX_WORKERS = 61  # Windows cannot wait for more

Item = TypeVar("Item")
Result = TypeVar("Result")


def cpus(root: Path = Path("/")) -> int:
    """Count the cores that this process may use: by its affinity and, in a container, by its quota, rounded up.

    root: the folder of `proc` and `sys`.
    """
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(found, quota(root))))


def in_processes(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Generator[Result, None, None]:
    """Apply `work` to items in worker processes, a few items ahead of the caller; yield the results in order.

    work: picklable; each process receives it once.
    workers: how many processes.
    The processes are spawned, since a fork of a process with threads may hang. They end when this generator is closed
    or fails, and when the caller dies. Raises what `work` raises, and BrokenProcessPool where a process dies.
    """
    pending: deque[Future[Result]] = deque()
    spawn = multiprocessing.get_context("spawn")
    lifeline, held = spawn.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start_worker, initargs=(work, lifeline))
    try:
        for item in items:
            with _clean_start():
                pending.append(pool.submit(_do, item))
            if len(pending) == AHEAD * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
        pool.shutdown()
    finally:
        held.close()
        pool.shutdown(cancel_futures=True)
        lifeline.close()


@contextmanager
def _clean_start() -> Iterator[None]:
    """Start processes that do not run the caller's script again and do not receive Ctrl-C."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if hasattr(signal, "pthread_sigmask") else None
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        if heard is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, heard)


_work: Callable[[Any], Any]


def _start_worker(work: Callable[[Any], Any], lifeline: Connection) -> None:
    """Ignore Ctrl-C, which the parent handles, and end when the parent does."""
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()


def _end_with(lifeline: Connection) -> None:
    lifeline.poll(None)
    os._exit(1)


def _do(item: Any) -> Any:
    return _work(item)

"""Work shared out to spawned processes. Each of them imports this module, so it loads nothing heavy."""

from __future__ import annotations

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
from types import ModuleType
from typing import Any, TypeVar

AHEAD = 4  # items a process, of which the results may be waiting for the caller
MAX_WORKERS = 61  # Windows can wait for no more

Item = TypeVar("Item")
Result = TypeVar("Result")


def cpus() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_processes(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Generator[Result, None, None]:
    """Do `work` on items in processes, a few items ahead of the caller; yields the results in the items' order.

    work: picklable; each process gets it once. The processes are spawned, since one forked off beside other threads may
    hang, and end at once where this generator is closed or fails, and where the caller dies. Raises what `work` raises,
    and BrokenProcessPool where a process dies.
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
    """Keep new processes from running the caller's script again to find its functions, and from hearing Ctrl-C."""
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
    """Leave Ctrl-C to the parent, and do not outlive it."""
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()


def _end_with(lifeline: Connection) -> None:
    lifeline.poll(None)
    os._exit(1)


def _do(item: Any) -> Any:
    return _work(item)

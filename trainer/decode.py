"""Encoded images decoded, by several processes where there are many.

Imports no torch: every process that decodes imports this module, and starts the sooner for it.
"""

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from math import prod
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

import numpy as np

from runtime.errors import InputError
from runtime.image import ImageContract, Pixels

from .errors import DataError

POOL_FROM = 200
CHUNK_FILES = 32
CHUNK_BYTES = 2**23
CHUNKS_AHEAD = 4
MAX_WORKERS = 61  # Windows can wait for no more

Encoded: TypeAlias = Path | bytes | None
Chunk: TypeAlias = tuple[Pixels, dict[int, str]]


def decode_all(images: Collection[Encoded], contract: ImageContract) -> Generator[Chunk, None, None]:
    """Decode in this process, or in several if that pays for starting them; yields `decode`'s chunks in order.

    Memory stays bounded. Raises DataError where a process dies.
    """
    size = max(1, min(CHUNK_FILES, CHUNK_BYTES // prod(contract.shape)))
    chunks = _chunks(images, size)
    workers = min(_cpus(), MAX_WORKERS)
    if len(images) < POOL_FROM or workers < 2:
        return (decode(chunk, contract) for chunk in chunks)
    return _in_processes(chunks, contract, workers)


def decode(images: Sequence[Encoded], contract: ImageContract) -> Chunk:
    """Decode a few: uint8 [n, H, W, C] of those that can be read, and for each other its position → why not."""
    pixels = np.empty((len(images), *contract.shape), np.uint8)
    reasons: dict[int, str] = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # what is too damaged to use comes as an error besides
        for position, image in enumerate(images):
            name = image if isinstance(image, Path) else "these bytes"
            try:
                if image is None:
                    raise InputError("expected the bytes of an encoded image, found null")
                pixels[position - len(reasons)] = contract.pixels(image)
            except InputError as error:
                reasons[position] = " ".join(str(error).removeprefix(f"{name}: ").split())
    return pixels[: len(images) - len(reasons)], reasons


def _chunks(images: Iterable[Encoded], size: int) -> Iterator[list[Encoded]]:
    """Take `size` images at a time, or fewer where they hold many bytes."""
    chunk: list[Encoded] = []
    held = 0
    for image in images:
        chunk.append(image)
        held += len(image) if isinstance(image, bytes) else 0
        if len(chunk) == size or held > CHUNK_BYTES:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_processes(
    chunks: Iterable[Sequence[Encoded]], contract: ImageContract, workers: int
) -> Generator[Chunk, None, None]:
    """Decode a few chunks ahead of the caller, in spawned processes: one forked off beside torch's threads may hang."""
    pending: deque[Future[Chunk]] = deque()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start_worker) as pool:
        try:
            for chunk in chunks:
                with _hidden_main():
                    pending.append(pool.submit(decode, chunk, contract))
                if len(pending) == CHUNKS_AHEAD * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool:
            raise DataError(
                f"expected {workers} processes to decode images, found that one of them died, perhaps for want of "
                "memory: free some and try again"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _hidden_main() -> Iterator[None]:
    """Keep new processes from running the caller's script again, which is what they do to find its functions."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)

"""Image files decoded, by several processes where there are many.

Imports no torch: every process that decodes imports this module, and starts the sooner for it.
"""

import warnings
from collections.abc import Generator, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from math import prod
from pathlib import Path
from typing import TypeAlias

import numpy as np

from runtime.errors import InputError
from runtime.image import ImageContract, Pixels
from runtime.processes import MAX_WORKERS, cpus, in_processes

from .errors import DataError

POOL_FROM = 200
CHUNK_FILES = 32
CHUNK_BYTES = 2**23

Chunk: TypeAlias = tuple[Pixels, dict[int, str]]


def decode_all(paths: Sequence[Path], contract: ImageContract) -> Generator[Chunk, None, None]:
    """Decode files in this process, or in several if that pays for starting them; yields `decode`'s chunks in order.

    Memory stays bounded. Raises DataError where a process dies.
    """
    size = max(1, min(CHUNK_FILES, CHUNK_BYTES // prod(contract.shape)))
    chunks = [paths[start : start + size] for start in range(0, len(paths), size)]
    workers = min(cpus(), len(chunks), MAX_WORKERS)
    if len(paths) < POOL_FROM or workers < 2:
        return (decode(chunk, contract) for chunk in chunks)
    return _in_processes(chunks, contract, workers)


def decode(paths: Sequence[Path], contract: ImageContract) -> Chunk:
    """Decode a few files: uint8 [n, H, W, C] of those that can be read, and for each other its position → why not."""
    pixels = np.empty((len(paths), *contract.shape), np.uint8)
    reasons: dict[int, str] = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # what is too damaged to use comes as an error besides
        for position, path in enumerate(paths):
            try:
                pixels[position - len(reasons)] = contract.pixels(path)
            except InputError as error:
                reasons[position] = " ".join(str(error).removeprefix(f"{path}: ").split())
    return pixels[: len(paths) - len(reasons)], reasons


def _in_processes(
    chunks: Sequence[Sequence[Path]], contract: ImageContract, workers: int
) -> Generator[Chunk, None, None]:
    try:
        yield from in_processes(partial(decode, contract=contract), chunks, workers)
    except BrokenProcessPool:
        raise DataError(
            f"expected {workers} processes to decode images, found that one of them died, perhaps for want of "
            "memory: free some and try again"
        ) from None

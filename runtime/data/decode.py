"""Encoded images decoded, by several processes where there are many.

Imports no torch: every process that decodes imports this module, and starts the sooner for it.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from math import prod
from typing import NamedTuple

import numpy as np

from ..errors import DataError
from ..image import Encoded, ImageContract, Pixels, read_images
from ..processes import MAX_WORKERS, cpus, in_processes
from ..remarks import Remarks
from .source import Rest, Source

POOL_FROM = 200
CHUNK_FILES = 32
CHUNK_BYTES = 2**23


class Chunk(NamedTuple):
    """A few images.

    pixels: uint8 [n, H, W, C] of those that can be read.
    reasons: for each other its position → why not.
    remarks: position → what is to be said of an image that was read, where there is something.
    """

    pixels: Pixels
    reasons: dict[int, str]
    remarks: dict[int, Remarks]


def decode_all(images: Source | Rest | Sequence[Encoded], contract: ImageContract) -> Generator[Chunk, None, None]:
    """Decode in this process, or in several if that pays for starting them; yields `decode`'s chunks in order.

    Memory stays bounded. Raises DataError where a process dies.
    """
    size = max(1, min(CHUNK_FILES, CHUNK_BYTES // prod(contract.shape)))
    chunks = _chunks(images, size)
    workers = min(cpus(), MAX_WORKERS)
    if len(images) < POOL_FROM or workers < 2:
        return (decode(chunk, contract) for chunk in chunks)
    return _in_processes(chunks, contract, workers)


def decode(images: Sequence[Encoded], contract: ImageContract) -> Chunk:
    """Decode a few."""
    found = read_images(images, contract)
    pixels = [one for one, _ in found if not isinstance(one, str)]
    reasons = {position: one for position, (one, _) in enumerate(found) if isinstance(one, str)}
    remarks = {position: one for position, (_, one) in enumerate(found) if one}
    return Chunk(np.array(pixels, np.uint8).reshape(-1, *contract.shape), reasons, remarks)


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


def _in_processes(
    chunks: Iterable[Sequence[Encoded]], contract: ImageContract, workers: int
) -> Generator[Chunk, None, None]:
    try:
        yield from in_processes(partial(decode, contract=contract), chunks, workers)
    except BrokenProcessPool:
        raise DataError(
            f"expected {workers} processes to decode images, found that one of them died, possibly out of "
            "memory: free some and try again"
        ) from None

"""Computes the features of images by onnxruntime, once: they are kept in the cache of decoded images."""

import json
import os
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from runtime.digest import digest
from runtime.errors import ArtefactError, needs_extra
from runtime.files import replacing, write_atomic
from runtime.processes import cpus

from ..data.features import Features
from ..data.mapped import Images, MappedImages
from ..errors import DataError, TrainerError

CACHE_FORMAT = 1  # incremented when the same graph gives other features
BATCH, BATCH_BYTES = 16, 2**20  # images, and their bytes at most, that go through the graph at a time
READ_BYTES = 2**24
INPUT, OUTPUT = "images", "features"


def extract(
    images: Images,
    features: Features,
    *,
    cache_dir: Path,
    progress: Callable[[int, int], None] | None = None,
    mirror: bool = False,
) -> MappedImages:
    """Compute the features of images, or read them from the cache.

    images: uint8 [N, H, W, C].
    cache_dir: folder of the cache.
    progress: called with the number of images done and of all; not called when the cache has them.
    mirror: whether the features of the mirror images follow.
    Returns float32 [N, 1, 1, D], or [2N, 1, 1, D], mapped from the cache. Raises DataError where the graph cannot be
    run or does not give finite features, and where the cache cannot be written.
    """
    entry = cache_dir / _key(images, features, mirror)
    shape = (len(images) * (1 + mirror), features.size)
    found = _read(entry, shape)
    if found is None:
        found = _fill(entry, shape, _blocks(images, features, progress, mirror))
    return MappedImages(found[:, None, None, :])


def _key(images: Images, features: Features, mirror: bool) -> str:
    """Digest of all that the features depend on."""
    graph = digest(features.graph.tobytes())
    parts = [CACHE_FORMAT, graph, list(images.shape), *(["mirror"] if mirror else [])]
    key = sha256(json.dumps(parts).encode())
    for block in _in_batches(images):
        key.update(np.ascontiguousarray(block).data)
    return key.hexdigest()[:32]


def _in_batches(images: Images) -> Iterator[NDArray[np.uint8]]:
    size = max(1, min(BATCH, BATCH_BYTES // images.shape[1:].numel()))
    return (block.cpu().numpy() for block in images.split(size))


def _blocks(
    images: Images, features: Features, progress: Callable[[int, int], None] | None, mirror: bool
) -> Iterator[NDArray[np.float32]]:
    with needs_extra("train", "computing features"):
        from runtime.session import Settings, open_session
    name = features.name
    try:
        session = open_session(features.graph.tobytes(), Settings(threads=cpus()))
    except ArtefactError as error:
        raise DataError(f"{name}: expected a graph of features that onnxruntime runs, found: {error}") from None
    done = 0
    mirrored = (np.ascontiguousarray(block[:, :, ::-1]) for block in _in_batches(images)) if mirror else ()
    for block in chain(_in_batches(images), mirrored):
        try:
            (values,) = session.run([OUTPUT], {INPUT: block})
        except Exception as error:  # onnxruntime's own errors share no base class
            raise DataError(f"{name}: expected a graph that runs on {list(block.shape)}, found: {error}") from None
        if values.dtype != np.float32 or values.shape != (len(block), features.size) or not np.isfinite(values).all():
            raise DataError(
                f"{name}: expected finite float32 [{len(block)}, {features.size}], found {values.dtype} "
                f"{list(values.shape)}, or values that are not finite: use other features"
            )
        yield values
        done += len(block)
        if progress:
            progress(done, len(images) * (1 + mirror))


def _fill(entry: Path, shape: tuple[int, int], blocks: Iterator[NDArray[np.float32]]) -> NDArray[np.float32]:
    path, checksum = entry.with_suffix(".npy"), 0
    try:
        with replacing(path, TrainerError) as part, part.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
            for block in blocks:
                file.write(np.ascontiguousarray(block, "<f4").data)
                checksum = zlib.crc32(block.data, checksum)
        write_atomic(entry.with_suffix(".crc"), str(checksum).encode(), TrainerError)
    except DataError:
        raise
    except TrainerError as error:
        raise DataError(f"{error}, by setting KIT_CACHE_DIR") from None
    return np.lib.format.open_memmap(path, mode="r")


def _read(entry: Path, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """Map a cache entry; None where it is missing or damaged."""
    try:
        checksum = int(entry.with_suffix(".crc").read_text())
        found: NDArray[Any] = np.lib.format.open_memmap(entry.with_suffix(".npy"), mode="r")
        with entry.with_suffix(".npy").open("rb") as file:
            whole = found.dtype == np.float32 and found.shape == shape and _checksum(file, found.nbytes) == checksum
    except (OSError, ValueError):
        return None
    return found if whole else None


def _checksum(file: BinaryIO, count: int) -> int:
    checksum = 0
    file.seek(-count, os.SEEK_END)
    while block := file.read(READ_BYTES):
        checksum = zlib.crc32(block, checksum)
    return checksum

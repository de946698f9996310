"""Computes the features of images by onnxruntime, once: they are kept in the cache of decoded images."""

import json
import os
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from runtime.digest import digest
from runtime.errors import ArtefactError, needs_extra
from runtime.files import replacing, write_atomic
from runtime.processes import cpus

from ..data.features import Features
from ..data.mapped import Images, MappedImages
from ..distributed import ALONE, Group, local_rank, local_size
from ..errors import DataError, TrainerError

CACHE_FORMAT = 1  # incremented when the same graph gives other features
BATCH, BATCH_BYTES = 16, 2**20  # images, and their bytes at most, that go through the graph at a time
READ_BYTES, READ_ROWS = 2**24, 2**10
INPUT, OUTPUT = "images", "features"

Rows: TypeAlias = NDArray[np.float32]  # [N, D]


def extract(
    images: Images,
    features: Features,
    *,
    cache_dir: Path,
    progress: Callable[[int, int], None] | None = None,
    mirror: bool = False,
    group: Group = ALONE,
) -> MappedImages:
    """Compute the features of images, or read them from the cache.

    images: uint8 [N, H, W, C].
    cache_dir: folder of the cache.
    progress: called with the number of images done and of all; not called when the cache has them.
    mirror: whether the features of the mirror images follow.
    group: the processes that need them: those of a machine compute a share each.
    Returns float32 [N, 1, 1, D], or [2N, 1, 1, D], mapped from the cache. Raises DataError where the graph cannot be
    run or does not give finite features, and where the cache cannot be written.
    """
    entry = cache_dir / _key(images, features, mirror)
    batches, count = _batches(images, mirror), len(images) * (1 + mirror)
    found = _read(entry, (count, features.size))
    if group.any(found is None):

        def share(place: int, places: int) -> Rows:
            own = batches[len(batches) * place // places : len(batches) * (place + 1) // places]
            rows = sum(batch.size for batch in own)
            name = entry if places == 1 else entry.with_name(f"{entry.name}-{place}")
            return _fill(name, (rows, features.size), _computed(images, own, features, progress))

        found = _by_all(entry, found, share, (count, features.size), group)
    assert found is not None  # noqa: S101 - for mypy
    return MappedImages(found[:, None, None, :])


def _by_all(
    entry: Path, found: Rows | None, share: Callable[[int, int], Rows], shape: tuple[int, int], group: Group
) -> Rows:
    """Let each process of this machine compute its share, and the first one join them."""
    place, places = local_rank(), local_size()
    own = group.side_by_side(lambda: share(place, places) if found is None else found)
    if places == 1:
        return own
    names = [entry.with_name(f"{entry.name}-{number}") for number in range(places)]

    def joined() -> Rows | None:
        if place == 0 and found is None:
            shares = (np.lib.format.open_memmap(name.with_suffix(".npy"), mode="r") for name in names)
            blocks = (part[at : at + READ_ROWS] for part in shares for at in range(0, len(part), READ_ROWS))
            _fill(entry, shape, blocks)
            for name in names:
                for suffix in (".npy", ".crc"):
                    name.with_suffix(suffix).unlink(missing_ok=True)
        return _read(entry, shape)

    whole = group.in_turn(joined)
    if whole is None:
        raise DataError(f"{entry}: expected the features that were just written, found none: start again")
    return whole


class _Batch(NamedTuple):
    """Images that go through the graph together: `size` from `start` on, or their mirror images."""

    start: int
    size: int
    mirrored: bool

    def of(self, images: Images) -> NDArray[np.uint8]:
        block = images[self.start : self.start + self.size].cpu().numpy()
        return np.ascontiguousarray(block[:, :, ::-1] if self.mirrored else block)


def _batches(images: Images, mirror: bool) -> list[_Batch]:
    """Cut images into batches: the same ones for any number of processes, as sums may round by the size."""
    size = max(1, min(BATCH, BATCH_BYTES // images.shape[1:].numel()))
    return [
        _Batch(start, min(size, len(images) - start), mirrored)
        for mirrored in ((False, True) if mirror else (False,))
        for start in range(0, len(images), size)
    ]


def _key(images: Images, features: Features, mirror: bool) -> str:
    """Digest of all that the features depend on."""
    graph = digest(features.graph.tobytes())
    parts = [CACHE_FORMAT, graph, list(images.shape), *(["mirror"] if mirror else [])]
    key = sha256(json.dumps(parts).encode())
    for batch in _batches(images, mirror=False):
        key.update(batch.of(images).data)
    return key.hexdigest()[:32]


def _computed(
    images: Images, batches: list[_Batch], features: Features, progress: Callable[[int, int], None] | None
) -> Iterator[NDArray[np.float32]]:
    """Yield the features of each batch, [B, D]; progress counts as if all processes were as far."""
    with needs_extra("train", "computing features"):
        from runtime.session import Settings, open_session
    name, places = features.name, local_size()
    try:
        session = open_session(features.graph.tobytes(), Settings(threads=max(1, cpus() // places)))
    except ArtefactError as error:
        raise DataError(f"{name}: expected a graph of features that onnxruntime runs, found: {error}") from None
    done, total = 0, sum(batch.size for batch in batches)
    for batch in batches:
        block = batch.of(images)
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
            progress(done, total)


def _fill(entry: Path, shape: tuple[int, int], blocks: Iterator[NDArray[np.float32]]) -> NDArray[np.float32]:
    path, checksum = entry.with_suffix(".npy"), 0
    try:
        with replacing(path, TrainerError) as part, part.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
            for block in blocks:
                row = np.ascontiguousarray(block, "<f4")
                file.write(row.data)
                checksum = zlib.crc32(row.data, checksum)
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

"""Decoded images, kept in a cache so that a folder of files or a Parquet data set is decoded once."""

import errno
import json
import os
import zlib
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np

from runtime.data.decode import decode_all
from runtime.data.source import Source
from runtime.data.unreadable import MAX_UNREADABLE, check_share
from runtime.errors import needs_extra
from runtime.files import replacing, write_atomic
from runtime.image import ImageContract, Pixels
from runtime.remarks import Remarks

from ..errors import DataError, TrainerError

CACHE_FORMAT = 4  # incremented when the same file gives other pixels or remarks
READ_BYTES = 2**24
PLAIN = Remarks()

Progress: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True)
class CachedImages:
    """The images that could be read, in the source's order, and why the others could not.

    images: uint8 [N, H, W, C], mapped from the cache, read-only.
    unreadable: name → reason.
    remarks: name → what is to be said of an image that could be read.
    elongated: for each of the source's images "1" where its aspect ratio is far from the contract's, else "0".
    tiny: likewise, where it is less than half as high and wide as the contract says.
    listing: the file for a list of unreadable images that is too long for a screen.
    """

    images: Pixels
    unreadable: dict[str, str]
    remarks: dict[str, Remarks]
    elongated: str
    tiny: str
    listing: Path


def default_cache_dir() -> Path:
    """Where decoded images are kept: $KIT_CACHE_DIR, else $XDG_CACHE_HOME/softmax-kit, else ~/.cache/softmax-kit.

    Raises DataError where there is no home folder.
    """
    if folder := os.environ.get("KIT_CACHE_DIR"):
        return Path(folder)
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder, "softmax-kit")
    try:
        return Path.home() / ".cache" / "softmax-kit"
    except RuntimeError:
        raise DataError(
            "expected a home folder to keep decoded images in, found none: set KIT_CACHE_DIR to a folder"
        ) from None


def cached_images(
    source: Source,
    contract: ImageContract,
    *,
    cache_dir: Path,
    progress: Progress | None = None,
    max_unreadable: float = MAX_UNREADABLE,
) -> CachedImages:
    """Decode the images of a source, at least one, or read them from the cache if none has changed since.

    contract: size and colour to bring them to.
    cache_dir: folder of the cache.
    progress: called with the number of images done and of all; not called when the cache has them.
    max_unreadable: share of the images that may be unreadable, 0-1.
    Raises DataError where more of the images cannot be read, the cache cannot be written, or a decoding
    process dies.
    """
    entry = cache_dir / _key(source, contract)
    found = _read_cache(entry, len(source), contract)
    if not found:
        return _fill_cache(entry, source, contract, progress, max_unreadable)
    check_share(source.where, found.unreadable, len(source), max_unreadable, found.listing)
    return found


def _key(source: Source, contract: ImageContract) -> str:
    """Digest of everything that the pixels depend on: contract, decoder, and images."""
    with needs_extra("train", "decoding images"):
        decoders = [version("pillow")]
    with suppress(PackageNotFoundError):
        decoders.append(version("pillow-heif"))
    digest = sha256(json.dumps([CACHE_FORMAT, *decoders, asdict(contract)]).encode())
    for state in source.states():
        digest.update(json.dumps(state).encode())
    return digest.hexdigest()[:32]


def _read_cache(entry: Path, count: int, contract: ImageContract) -> CachedImages | None:
    """Open a cache entry; None where it is missing or damaged."""
    try:
        document = json.loads(entry.with_suffix(".json").read_bytes())
        images = _mapped(entry.with_suffix(".npy"))
        found = document["found"]
        whole = images.dtype == np.uint8 and images.shape == (count - len(found["unreadable"]), *contract.shape)
        if whole and document["crc32"] == _seal(_checksum(entry.with_suffix(".npy"), images.nbytes), found):
            return _cached(entry, images, **found)
    except DataError:
        raise
    except Exception:  # damage can lead the readers to raise anything
        return None
    return None


def _checksum(path: Path, count: int) -> int:
    """CRC-32 of the last `count` bytes of a file, read and not mapped, so that they do not fill this process."""
    checksum = 0
    with path.open("rb") as file:
        file.seek(-count, os.SEEK_END)
        while block := file.read(READ_BYTES):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _cached(
    entry: Path, images: Pixels, unreadable: dict[str, str], remarks: dict[str, Any], elongated: str, tiny: str
) -> CachedImages:
    noticed = {name: Remarks(**one) for name, one in remarks.items()}
    return CachedImages(images, unreadable, noticed, elongated, tiny, entry.with_suffix(".txt"))


def _fill_cache(
    entry: Path, source: Source, contract: ImageContract, progress: Progress | None, max_unreadable: float
) -> CachedImages:
    path = entry.with_suffix(".npy")
    try:
        with replacing(path, TrainerError) as part, part.open("wb") as file:
            checksum, found = _write_images(file, source, contract, progress)
            check_share(source.where, found["unreadable"], len(source), max_unreadable, entry.with_suffix(".txt"))
        document = {"found": found, "crc32": _seal(checksum, found)}
        write_atomic(entry.with_suffix(".json"), json.dumps(document).encode(), TrainerError)
    except DataError:
        raise
    except TrainerError as error:
        raise DataError(f"{error}, by setting KIT_CACHE_DIR") from None
    return _cached(entry, _mapped(path), **found)


def _mapped(path: Path) -> Pixels:
    """Map a .npy file. Raises DataError where this process may not have so many addresses."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        raise DataError(
            f"{path}: expected to map {path.stat().st_size:,} bytes, found: {error.strerror}: raise `ulimit -v`, which "
            "counts what is mapped from a file, and limit memory with `ulimit -d` or --memory-limit"
        ) from None


def _write_images(
    file: BinaryIO, source: Source, contract: ImageContract, progress: Progress | None
) -> tuple[int, dict[str, Any]]:
    """Write a .npy file of all images; return the pixels' CRC-32, and the rest of `CachedImages` as JSON.

    Written, not mapped: where a disk is full, a write raises an error, and a mapping kills the process.
    """
    unreadable: dict[str, str] = {}
    remarks: dict[str, Any] = {}
    elongated: list[bool] = []
    tiny: list[bool] = []
    done = checksum = 0
    _write_header(file, len(source), contract)
    with closing(decode_all(source, contract)) as chunks:
        for pixels, reasons, noticed in chunks:
            file.write(pixels.data)
            checksum = zlib.crc32(pixels.data, checksum)
            unreadable |= {source.name(done + position): reason for position, reason in reasons.items()}
            remarks |= {source.name(done + position): asdict(one) for position, one in noticed.items() if one.is_odd}
            count = len(pixels) + len(reasons)
            found = [noticed.get(position, PLAIN) for position in range(count)]
            elongated += [one.elongated for one in found]
            tiny += [one.tiny for one in found]
            done += count
            if progress:
                progress(done, len(source))
    file.seek(0)
    _write_header(file, len(source) - len(unreadable), contract)
    return checksum, {
        "unreadable": unreadable,
        "remarks": remarks,
        "elongated": _as_text(elongated),
        "tiny": _as_text(tiny),
    }


def _as_text(flags: Iterable[bool]) -> str:
    return "".join("01"[flag] for flag in flags)


def _write_header(file: BinaryIO, count: int, contract: ImageContract) -> None:
    """Write a .npy header, which is as long for any count."""
    shape = (count, *contract.shape)
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _seal(checksum: int, found: dict[str, Any]) -> int:
    """CRC-32 of the pixels, whose own is `checksum`, followed by what was found."""
    return zlib.crc32(json.dumps(found).encode(), checksum)

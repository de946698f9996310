"""How time and memory grow with the number of images: synthetic images, each run in a fresh process."""

import resource
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer import Dataset, Fit, FitConfig, Split, fit

from ..tools.measure import aimed, check, fresh, table
from ..tools.memory import memory

GB = 10**9
SIDE, CLASSES = 28, 10
PATTERN, NOISE = 24, 232  # their sum stays below 256; about as hard as Fashion-MNIST
TEST_IMAGES = 1000
BLOCK = 10_000
EPOCH_IMAGES = 1_200_000
FLAT, ROOM = 1.2, GB


def compare(sizes: Sequence[int], *, rounds: int, mapped_size: int, room: int = ROOM) -> Iterator[str]:
    """Yield tables: the sizes in memory, and the largest mapped from a file under a memory limit.

    room: bytes that the mapped run may take beyond those after its imports.
    """
    runs: dict[int, list[dict[str, Any]]] = {size: [] for size in sizes}
    for _ in range(rounds):
        for size in sizes:
            runs[size].append(fresh(in_memory, count=size, epochs=max(1, EPOCH_IMAGES // size)))
    rows, first = [], 0.0
    for size, found in runs.items():
        per_image = median(run["per_image"] for run in found)
        first = first or per_image
        beyond = max(run["peak"] - run["data"] for run in found)
        rows.append(
            (
                f"{size:,}",
                f"{found[0]['data'] / GB:.2f}",
                f"{per_image * 1e6:.2f}",
                f"{per_image / first:.2f}",
                aimed(per_image / first, FLAT),
                f"{median(run['before'] for run in found) / size * 1e6:.2f}",
                f"{beyond / GB:.2f}",
                aimed(beyond / GB, ROOM / GB),
                f"{found[0]['accuracy']:.3f}",
            )
        )
    head = ("images", "data, GB", "an epoch, µs an image", "÷ first", "target", "before it, µs an image",
            "peak beyond data, GB", "target", "test accuracy")  # fmt: skip
    yield table(head, rows)
    yield mapped_table(mapped_size, room)


def mapped_table(size: int, room: int) -> str:
    """Lay out one run with the images mapped from a file."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), size)
        run = fresh(mapped, folder=folder, room=room, epochs=1)
    row = (
        f"{size:,}",
        f"{run['data'] / GB:.2f}",
        f"{run['per_image'] * 1e6:.2f}",
        f"{run['before'] / size * 1e6:.2f}",
        f"{run['imported'] / GB:.2f}",
        f"{run['anonymous'] / GB:.2f}",
        aimed((run["anonymous"] - run["imported"]) / GB, room / GB),
        f"{run['accuracy']:.3f}",
    )
    head = ("images in a file", "data, GB", "an epoch, µs an image", "before it, µs an image",
            "anonymous when imported, GB", "at its peak, GB", "target, of the difference", "test accuracy")  # fmt: skip
    return table(head, [row])


def in_memory(count: int, epochs: int) -> dict[str, float]:
    """Train on images in memory."""
    images, targets = np.empty((count, SIDE, SIDE, 1), np.uint8), np.empty(count, np.int64)
    fill(images, targets, seed=1)
    return figures(Split.of(images, targets), epochs) | {"peak": memory("VmHWM"), "data": images.nbytes}


def mapped(folder: str, room: int, epochs: int) -> dict[str, float]:
    """Train on images mapped from a file, with a limit of `room` bytes beyond those that the process has now."""
    imported = memory("RssAnon")
    limit = memory("VmData") + room
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    images = np.load(Path(folder, "images.npy"), mmap_mode="r")
    targets = np.load(Path(folder, "targets.npy"))
    with Peak("RssAnon") as peak:
        found = figures(Split.of(images, targets), epochs)
    return found | {"data": images.nbytes, "imported": imported, "anonymous": peak.bytes}


def figures(train: Split, epochs: int, memory_limit: int | None = None) -> dict[str, float]:
    """Train; return seconds an image in an epoch (the median) and before the first, and the test accuracy."""
    images, targets = np.empty((TEST_IMAGES, SIDE, SIDE, 1), np.uint8), np.empty(TEST_IMAGES, np.int64)
    fill(images, targets, seed=2)
    labels = tuple(map(str, range(CLASSES)))
    data = Dataset(name="synthetic", labels=labels, train=train, test=Split.of(images, targets))
    started = time.perf_counter()
    fitted: Fit = fit(data, FitConfig(solver="sgd", epochs=epochs, device="cpu"), memory_limit=memory_limit)
    seconds = [epoch.seconds for epoch in fitted.history]
    before = time.perf_counter() - started - sum(seconds)
    share = fitted.history[-1].test_accuracy
    check(share > 2 / CLASSES, "a test accuracy above chance", share)
    return {"per_image": median(seconds) / len(train), "before": before, "accuracy": share}


def write(folder: Path, count: int) -> None:
    """Write images.npy and targets.npy, block by block."""
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (count, SIDE, SIDE, 1))
    targets = np.empty(count, np.int64)
    fill(images, targets, seed=1)
    images.flush()
    np.save(folder / "targets.npy", targets)


def fill(images: NDArray[np.uint8], targets: NDArray[np.int64], *, seed: int) -> None:
    """Fill in synthetic images, [N, H, W, C]: noise on a faint pattern for each class."""
    patterns = np.random.default_rng(0).integers(0, PATTERN, (CLASSES, *images.shape[1:]), np.uint8)
    generator = np.random.default_rng(seed)
    targets[:] = generator.integers(0, CLASSES, len(targets))
    for start in range(0, len(images), BLOCK):
        block = images[start : start + BLOCK]
        block[:] = generator.integers(0, NOISE, block.shape, np.uint8)
        block += patterns[targets[start : start + BLOCK]]


class Peak:
    """Watches a figure of this process's memory."""

    def __init__(self, field: str, every: float = 0.02) -> None:
        self._field, self._every = field, every
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.bytes = memory(field)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(self._every):
            self.bytes = max(self.bytes, memory(self._field))

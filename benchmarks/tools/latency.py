"""Latency of an opened model, once its answers are checked.

numpy is imported in the functions: a process that answers once is timed with the imports that it needs itself.
"""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from .measure import Figures, check

TOLERANCE = 1e-4
BATCH = 1024

Clocked = Callable[[Any], object]


def timed(name: str, one: Callable[[Any], int], many: Clocked, folder: str, seconds: float) -> Figures:
    """Time single arrays, single PNG files and batches, after their answers are checked."""
    import numpy as np

    images, expected = np.load(f"{folder}/test-images.npy"), np.load(f"{folder}/expected.npy")
    from_file = file_reader(name, one)
    files = sorted(map(str, Path(folder, "png").iterdir()))
    some = list(images[: len(files)])
    wanted = right(name, many(images), expected)[: len(files)].tolist()
    for what, found in (("arrays", list(map(one, some))), ("PNG files", list(map(from_file, files)))):
        check(found == wanted, f"{name}: of {what} the labels of the batch", found)
    arrays, pictures = latencies(one, some, seconds), latencies(from_file, files, seconds)
    blocks = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    taken = latencies(lambda _: [many(block) for block in blocks], [None], seconds)
    return {
        "p50": median(arrays),
        "p99": percentile99(arrays),
        "png_p50": median(pictures),
        "png_p99": percentile99(pictures),
        "batch": median(taken) / len(images),
    }


def file_reader(name: str, one: Callable[[Any], int]) -> Callable[[Any], int]:
    """Answer for a PNG file: our runtime reads it itself, for the others Pillow does."""
    if name == "ours":
        return one
    import numpy as np
    from PIL import Image

    def read(path: str) -> int:
        with Image.open(path) as image:
            return one(np.asarray(image)[..., None])

    return read


def right(name: str, probabilities: Any, expected: Any) -> Any:
    """Check probabilities [N, K] against the trained model's; return the indices of the labels [N]."""
    import numpy as np

    off = float(np.abs(probabilities - expected).max())
    check(off <= TOLERANCE, f"{name}: probabilities within {TOLERANCE:g} of the trained model's", off)
    return probabilities.argmax(axis=1)


def latencies(call: Clocked, items: list[Any], seconds: float) -> list[float]:
    """Seconds of each call, for items in turns; a fifth of the time is warm-up, and at least one turn is timed."""
    clock = time.perf_counter
    end = clock() + seconds / 5
    while clock() < end:
        call(items[0])
    taken: list[float] = []
    end = clock() + seconds
    while not taken or clock() < end:
        for item in items:
            started = clock()
            call(item)
            taken.append(clock() - started)
    return taken


def percentile99(values: list[float]) -> float:
    """The 99th percentile."""
    return quantiles(values, n=100)[98] if len(values) > 1 else values[0]

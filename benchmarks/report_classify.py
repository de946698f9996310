"""Classifying with one trained model, by what might be deployed; each contender is a process of its own."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from .measure import Figures, Found, check, medians, process

CONTENDERS = {  # by opener: what it is, and what has to be installed for it
    "ours": ("ours: runtime.load(file).classify", "softmax-kit"),
    "bare": ("a bare onnxruntime session, our file", "onnxruntime"),
    "skl2onnx": ("onnxruntime, skl2onnx's file", "onnxruntime"),
    "eager": ("torch, eager", "torch"),
    "torchscript": ("torch, TorchScript", "torch"),
    "scikit_learn": ("scikit-learn", "scikit-learn"),
}
TOLERANCE = 1e-4
BATCH = 1024
MICRO = 1e6
RATIOS = {
    "one array, p50": "p50",
    "one array, p99": "p99",
    "one PNG file, p50": "png_p50",
    "one PNG file, p99": "png_p99",
    f"an image in a batch of {BATCH:,}": "batch",
    "cold start to one answer": "cold",
    "peak memory of that": "peak",
    "installed size": "installed",
}
FIGURES: dict[str, Callable[[Figures], object]] = {
    "array p50, µs": lambda one: f"{one['p50'] * MICRO:.1f}",
    "array p99, µs": lambda one: f"{one['p99'] * MICRO:.1f}",
    "PNG p50, µs": lambda one: f"{one['png_p50'] * MICRO:.1f}",
    "PNG p99, µs": lambda one: f"{one['png_p99'] * MICRO:.1f}",
    "images/s in batches": lambda one: f"{1 / one['batch']:,.0f}",
    "cold start, s": lambda one: f"{one['cold']:.3f}",
    "peak memory, MB": lambda one: f"{one['peak'] / 1e6:,.1f}",
    "installed, MB": lambda one: f"{one['installed'] / 1e6:,.0f}",
}
Clocked = Callable[[Any], object]


def measure(folder: Path, *, rounds: int, seconds: float) -> Found:
    """Answer with each contender, in turns. seconds: about how long a contender is timed in a round, each way."""
    from .installed import size

    runs: dict[str, list[Figures]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name, of in runs.items():
            of.append(run(name, folder, seconds))
    sizes = {package: size([package]) for package in {package for _, package in CONTENDERS.values()}}
    return {
        CONTENDERS[name][0]: figures | {"installed": sizes[CONTENDERS[name][1]]}
        for name, figures in medians(runs).items()
    }


def run(name: str, folder: Path, seconds: float) -> Figures:
    """Start a process: the seconds until it has answered once, its peak of memory until then, and what is timed."""
    import numpy as np

    started = time.time()
    figures: Figures = json.loads(process("-m", "benchmarks.openers", name, folder, str(seconds)))
    expected = int(np.load(folder / "expected.npy", mmap_mode="r")[0].argmax())
    check(figures["answer"] == expected, f"{name}: the index {expected}", figures["answer"])
    return figures | {"cold": figures["answered"] - started}


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
    """The value that a hundredth of them exceeds."""
    return quantiles(values, n=100)[98] if len(values) > 1 else values[0]

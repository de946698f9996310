"""Classifying with one trained model, by everything that might be deployed, each in a process of its own."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from ..tools.latency import BATCH
from ..tools.measure import Figures, check, process

CONTENDERS = {  # by opener: what it is, and what has to be installed for it
    "ours": ("ours: runtime.load(file).classify", "softmax-kit"),
    "bare": ("a bare onnxruntime session, our file", "onnxruntime"),
    "skl2onnx": ("onnxruntime, skl2onnx's file", "onnxruntime"),
    "eager": ("torch, eager", "torch"),
    "torchscript": ("torch, TorchScript", "torch"),
    "scikit_learn": ("scikit-learn", "scikit-learn"),
}
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


def measure(folder: Path, *, rounds: int, seconds: float) -> dict[str, list[Figures]]:
    """Time each contender, in turns; by contender, the figures of each round.

    seconds: about how long each of a contender's measurements takes in a round.
    """
    from ..tools.installed import size

    sizes = {package: {"installed": size([package])} for package in {package for _, package in CONTENDERS.values()}}
    runs: dict[str, list[Figures]] = {title: [] for title, _ in CONTENDERS.values()}
    for _ in range(rounds):
        for name, (title, package) in CONTENDERS.items():
            runs[title].append(run(name, folder, seconds) | sizes[package])
    return runs


def run(name: str, folder: Path, seconds: float) -> Figures:
    """Start a process: seconds to its first answer, peak memory until then, and the latencies."""
    import numpy as np

    started = time.time()
    figures: Figures = json.loads(process("-m", "benchmarks.peers.openers", name, folder, str(seconds)))
    expected = int(np.load(folder / "expected.npy", mmap_mode="r")[0].argmax())
    check(figures["answer"] == expected, f"{name}: the index {expected}", figures["answer"])
    return figures | {"cold": figures["answered"] - started}

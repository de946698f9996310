"""What an artefact costs on this device, in time and memory."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..classifier import Classifier, load
from ..errors import ArtefactError, SelfTestError
from ..session import onnxruntime

T = TypeVar("T")

BATCHES = (64, 1024)
MAX_BATCH_BYTES = 256 * 2**20
MAX_FRESH_SECONDS = 300
# Of an artefact's seconds, for each of the fresh processes, the loading, single images, and the two sizes of batches.
SHARES = {"fresh": 0.4, "load": 0.1, "single": 0.2, "batch": 0.15}
WARM_UP = 0.2  # of each share

# What a user's first script does. On Linux it reads its own peak: getrusage gives its parent's where that was higher.
FRESH = """
import sys
sys.path[:] = sys.argv[2:]
import runtime
classifier = runtime.load(sys.argv[1])
classifier.classify(classifier.metadata.golden.images[0])
import json, time
answered, peak = time.time(), None
try:
    with open("/proc/self/status") as file:
        peak = [int(line.split()[1]) for line in file if line.startswith("VmHWM:")][0] / 2**10
except (OSError, IndexError):
    try:
        import resource
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    except ImportError:
        pass
print(json.dumps([answered, peak]))
"""

Figures = dict[str, float | None]


def measure(path: Path, seconds: float) -> Figures:
    """Measure the artefact at `path`, in about so many seconds; None for a figure that cannot be had here.

    Raises ArtefactError, and SelfTestError where it does not answer as it should.
    """
    classifier = load(path, selftest=True)
    golden = classifier.metadata.golden
    size, image = path.stat().st_size, golden.images[0]
    fresh = _repeat(lambda: _fresh_process(path), SHARES["fresh"] * seconds)
    loading = _durations(lambda: load(path), SHARES["load"] * seconds)
    single = _durations(lambda: classifier.classify(image), SHARES["single"] * seconds)
    prediction = classifier.classify(image)
    _check(path, np.array(prediction.probability), golden.probabilities[0, prediction.index], golden.tolerance)
    peaks = [peak for _, peak in fresh if peak is not None]
    return {
        "size_bytes": size,
        "load_ms": float(np.median(loading)) / 1e6,
        "cold_ms": 1e3 * statistics.median(answered for answered, _ in fresh),
        "p50_us": float(np.percentile(single, 50)) / 1e3,
        "p99_us": float(np.percentile(single, 99)) / 1e3,
        **{f"images_per_s_{size}": _throughput(path, classifier, size, SHARES["batch"] * seconds) for size in BATCHES},
        "rss_mb": statistics.median(peaks) if peaks else None,
    }


def _fresh_process(path: Path) -> tuple[float, float | None]:
    """Classify in a fresh process: seconds from its start to its first answer, and its peak memory in MB."""
    command = [sys.executable, "-c", FRESH, str(path), *sys.path]
    start = time.time()
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=MAX_FRESH_SECONDS, check=False)  # noqa: S603
        answered, peak = json.loads(found.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        raise ArtefactError(
            f"{path}: expected an answer from a fresh process, found none in {MAX_FRESH_SECONDS} s"
        ) from None
    except (IndexError, ValueError):
        reason = found.stderr.strip().rpartition("\n")[2] or f"exit status {found.returncode}"
        raise ArtefactError(
            f"{path}: expected an answer from a fresh process, found that it failed ({reason})"
        ) from None
    return answered - start, peak


def _throughput(path: Path, classifier: Classifier, size: int, seconds: float) -> float | None:
    """Images a second in batches of one size; None where such a batch is too large for this device."""
    golden = classifier.metadata.golden
    if size * golden.images[0].nbytes > MAX_BATCH_BYTES:
        return None
    order = np.arange(size) % len(golden.images)
    try:
        batch = golden.images[order]
        durations = _durations(lambda: classifier.probabilities(batch), seconds)
        found = classifier.probabilities(batch)
    except Exception:  # onnxruntime's own errors share no base class; out of memory is one
        return None
    _check(path, found, golden.probabilities[order], golden.tolerance)
    return size * len(durations) / (sum(durations) / 1e9)


def _repeat(call: Callable[[], T], seconds: float) -> list[T]:
    """Call until so many seconds have passed, at least once, and return what came back."""
    end = time.perf_counter() + seconds
    results = [call()]
    while time.perf_counter() < end:
        results.append(call())
    return results


def _durations(call: Callable[[], object], seconds: float) -> list[int]:
    """Nanoseconds that each call took, once warm."""

    def timed() -> int:
        start = time.perf_counter_ns()
        call()
        return time.perf_counter_ns() - start

    _repeat(timed, WARM_UP * seconds)
    return _repeat(timed, (1 - WARM_UP) * seconds)


def _check(path: Path, found: NDArray[np.floating], expected: NDArray[np.float32], tolerance: float) -> None:
    difference = float(np.abs(found - expected).max())
    if not difference <= tolerance:
        raise SelfTestError(
            f"{path}: expected answers within {tolerance:g} of the trained model's while they were timed, "
            f"found a difference of {difference:.3g}: do not use this file on this device"
        )


def machine() -> dict[str, Any]:
    """Say where the figures come from."""
    return {
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnxruntime": onnxruntime().__version__,
    }

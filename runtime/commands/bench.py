"""`kit bench`: measures the latency, throughput, start-up time and memory of artefacts on this device."""

import math
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
from numpy.typing import NDArray

from ..backend import chosen
from ..c.footprint import Footprint
from ..c.reading import is_source
from ..c.targets import EMULATED
from ..classifier import Classifier
from ..errors import ArtefactError, KitError, SelfTestError
from ..loading import load
from ..processes import cpus
from ..session import AUTO, ONNXRUNTIME, onnxruntime
from ..tables import table
from ..text import as_json, complain, printable, say
from . import footprints
from .fresh import fresh_process
from .options import ARTEFACT, backend_option

T = TypeVar("T")

COLUMNS = {
    "size_bytes": ("bytes", ",.0f"),
    "load_ms": ("load ms", ".2f"),
    "cold_ms": ("cold ms", ".0f"),
    "p50_us": ("p50 µs", ".1f"),
    "p99_us": ("p99 µs", ".1f"),
    "images_per_s_64": ("images/s at 64", ",.0f"),
    "images_per_s_1024": ("at 1,024", ",.0f"),
    "rss_mb": ("peak MB", ".1f"),
}
AT_LEAST = ("images_per_s_64", "images_per_s_1024")
BATCHES = (64, 1024)
MAX_BATCH_BYTES = 256 * 2**20
MAX_BATCH_SECONDS = 10  # as the help says
# Shares of an artefact's seconds: for fresh processes, loading, single images, and each of the two batch sizes.
SHARES = {"fresh": 0.4, "load": 0.1, "single": 0.2, "batch": 0.15}
WARM_UP = 0.2  # part of each share

Figures = dict[str, float | None]


def read_budget(_context: click.Context, _option: click.Parameter, text: str) -> dict[str, float]:
    """Parse `p99_us=50,rss_mb=90`. Raises click.BadParameter for an unknown figure or a value that is not a number."""
    parts = text.split(",") if text else []
    in_c = [part for part in parts if part.partition("=")[0].strip() in footprints.TITLES]
    try:
        budget = footprints.read_budget(",".join(in_c))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    for part in parts:
        if part in in_c:
            continue
        name, _, number = (word.strip() for word in part.partition("="))
        if name not in COLUMNS or name in budget:
            raise click.BadParameter(f"expected each of {', '.join(COLUMNS)} once at most, found {part.strip()!r}")
        try:
            budget[name] = float(number)
        except ValueError:
            budget[name] = math.nan
        if not 0 <= budget[name] < math.inf:
            raise click.BadParameter(f"expected {name}=NUMBER, 0 or more, found {part.strip()!r}")
    return budget


@click.command()
@click.argument("artefacts", metavar="ARTEFACT...", type=ARTEFACT, nargs=-1, required=True)
@click.option(
    "--budget",
    metavar="NAME=NUMBER,...",
    default="",
    callback=read_budget,
    help=f"Exit 1 where a figure is above its number, or below it for {' and '.join(AT_LEAST)}. "
    f"Names: {', '.join(COLUMNS)}; of a model in C {', '.join(footprints.TITLES)}, as in flash=16k.",
)
@click.option(
    "--target", "targets", type=click.Choice(EMULATED), multiple=True,
    help="Of a model in C: what to measure it on. May be given again.  [default: those whose tools are installed]",
)  # fmt: skip
@backend_option
@click.option("--seconds", type=click.FloatRange(0.1, 60), default=2.0, show_default=True, help="Time per artefact.")
@click.option("--json", "as_document", is_flag=True, help="Print the figures as JSON.")
def bench(
    artefacts: tuple[Path, ...], budget: dict[str, float], targets: tuple[str, ...], backend: str, seconds: float,
    as_document: bool,
) -> None:  # fmt: skip
    """Measure each ARTEFACT on this device, after its self-test.

    load: opening the file. cold: from the start of a fresh Python process to its first prediction. p50, p99: latency of
    classifying one array. images/s: throughput in batches of 64 and of 1,024 images. peak: peak memory of the fresh
    process, in MB of 2^20 bytes. A dash stands for a figure that cannot be measured here, or not
    in 10 seconds. A model in C is compiled for emulated targets: flash, RAM with what its caller keeps, stack, and
    instructions an image, on AVR cycles.
    """
    in_c = {name: limit for name, limit in budget.items() if name in footprints.TITLES}
    others = {name: limit for name, limit in budget.items() if name not in in_c}
    if (targets or in_c) and not any(map(is_source, artefacts)):
        raise click.UsageError(
            f"expected {', '.join(in_c) or '--target'} for a model in C alone, found no such artefact"
        )
    entries = [
        footprints.entry(path, targets, in_c) if is_source(path) else _entry(path, seconds, backend)
        for path in artefacts
    ]
    lines = list(_tables(entries))
    if as_document or lines:
        say(as_json(entries) if as_document else "\n".join(lines))
    complaints = [line for entry in entries for line in _complaints(entry, others)]
    for line in complaints:
        complain(line)
    if complaints:
        sys.exit(1)


def measure(path: Path, seconds: float, backend: str = AUTO) -> Figures:
    """Measure an artefact.

    path: the artefact's.
    seconds: about how long to measure.
    backend: as in `load`.
    Returns the figures of COLUMNS; None for one that cannot be measured here. Raises ArtefactError, and SelfTestError
    where the probabilities are not the trained model's.
    """
    classifier = load(path, selftest=True, backend=backend)
    golden = classifier.metadata.golden
    size, image = path.stat().st_size, golden.images[0]
    fresh = _repeat(lambda: fresh_process(path, backend), SHARES["fresh"] * seconds)
    loading = _durations(lambda: load(path, backend=backend), SHARES["load"] * seconds)
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
        **{
            f"images_per_s_{size}": _throughput(path, classifier, size, SHARES["batch"] * seconds)
            if size * np.percentile(single, 50) / 1e9 < MAX_BATCH_SECONDS
            else None
            for size in BATCHES
        },
        "rss_mb": statistics.median(peaks) if peaks else None,
    }


def _throughput(path: Path, classifier: Classifier, size: int, seconds: float) -> float | None:
    """Measure images per second at one batch size; None where such a batch is too large for this device."""
    golden = classifier.metadata.golden
    if size * golden.images[0].nbytes > MAX_BATCH_BYTES:
        return None
    order = np.arange(size) % len(golden.images)
    try:
        batch = golden.images[order]
        durations = _durations(lambda: classifier.probabilities(batch), seconds)
        found = classifier.probabilities(batch)
    except (ArtefactError, MemoryError):  # onnxruntime's error where memory is short becomes an ArtefactError
        return None
    _check(path, found, golden.probabilities[order], golden.tolerance)
    return size * len(durations) / (sum(durations) / 1e9)


def _repeat(call: Callable[[], T], seconds: float) -> list[T]:
    """Call for some seconds, at least once, and return the results."""
    end = time.perf_counter() + seconds
    results = [call()]
    while time.perf_counter() < end:
        results.append(call())
    return results


def _durations(call: Callable[[], object], seconds: float) -> list[int]:
    """Measure the nanoseconds of each call, after a warm-up."""

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


def machine(path: Path, backend: str) -> dict[str, Any]:
    """Describe the device and the versions that the figures depend on."""
    name = "litert" if path.name.lower().endswith(".tflite") else chosen(backend)
    return {
        "system": platform.platform(),
        "processors": cpus(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        **({"onnxruntime": onnxruntime().__version__} if name == ONNXRUNTIME else {}),
        "backend": name,
    }


def _entry(path: Path, seconds: float, backend: str) -> dict[str, Any]:
    try:
        return {"artefact": str(path), **measure(path, seconds, backend), "machine": machine(path, backend)}
    except KitError as error:
        return {"artefact": str(path), "error": str(error)}


def _complaints(entry: dict[str, Any], budget: dict[str, float]) -> Iterator[str]:
    """Say why one artefact fails: its error, or each figure beyond its budget."""
    if "error" in entry or "targets" in entry:
        yield from [entry["error"]] if "error" in entry else entry.get("beyond", ())
        return
    for name, limit in budget.items():
        found, bound = entry[name], "at least" if name in AT_LEAST else "at most"
        expected = f"{entry['artefact']}: expected {name} {bound} {limit:g}, found"
        if found is None:
            yield f"{expected} none: it cannot be measured here"
        elif found < limit if name in AT_LEAST else found > limit:
            yield f"{expected} {found:.6g}"


def _tables(entries: list[dict[str, Any]]) -> Iterator[str]:
    """Show what runs on this device in one table, and a model in C in one of its own."""
    here = [entry for entry in entries if "targets" not in entry and "error" not in entry]
    if here:
        yield _table(here)
    for entry in entries:
        if "targets" in entry:
            yield printable(entry["artefact"])
            yield from footprints.table({target: Footprint(**figures) for target, figures in entry["targets"].items()})


def _table(entries: list[dict[str, Any]]) -> str:
    rows = [["artefact", *(title for title, _ in COLUMNS.values())]]
    rows += [
        [printable(entry["artefact"]), *(_cell(entry[name], style) for name, (_, style) in COLUMNS.items())]
        for entry in entries
    ]
    machines = dict.fromkeys(
        ", ".join(f"{name} {value}" for name, value in entry["machine"].items()) for entry in entries
    )
    return "\n".join([*table(rows, numbers=True), *machines])


def _cell(figure: float | None, style: str) -> str:
    return "-" if figure is None else format(figure, style)

"""Benchmark of growth: training and scoring from 10⁴ images to 10⁷, and an estimate for 10⁸ and 10¹⁰.

    python -m benchmarks.scale --write docs/scale.md

Images are synthetic, 28 × 28 in grey; each measurement runs in a fresh process.
"""

import io
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import click
import numpy as np

from ..tools.bars import drawing
from ..tools.measure import ROOT, Disturbance, aimed, check, fresh, machine, table
from ..tools.memory import memory
from ..tools.page import around, page_option, put
from .growth import BLOCK, CLASSES, SIDE, figures, mapped, write

MB, GB = 10**6, 10**9
SIZES = (10**4, 10**5, 10**6, 10**7)
ENCODED_MOST = 10**6
LIMIT = 64 * 2**20
EPOCH_IMAGES = 2 * 10**6
LIMITED_BYTES = 4 * GB
ROW_GROUP = 1000
STEPS = 2000
NODE = {"cores": 16, "disk": 1e9, "network": 1.25e9}
HORIZONS = (10**8, 10**10)
EPOCHS = 10
SECTION = "measured"  # of the page

Found = dict[str, dict[int, dict[str, float]]]


@click.command()
@click.option("--size", "sizes", type=click.IntRange(1000), multiple=True, default=SIZES, show_default=True)
@click.option("--encoded-most", type=click.IntRange(1000), default=ENCODED_MOST, show_default=True,
              help="Most images that are encoded as Parquet, which takes longer than the rest.")  # fmt: skip
@click.option("--limited-bytes", type=click.IntRange(10**6), default=LIMITED_BYTES, show_default=True,
              help="Bytes of the data set that a process with 1 GB trains on.")  # fmt: skip
@page_option
def main(sizes: tuple[int, ...], encoded_most: int, limited_bytes: int, page: Path | None) -> None:
    """Measure how training and scoring grow with the number of images."""
    if page:
        around(page, SECTION)  # fails before anything is measured
    disturbance = Disturbance()
    before = machine()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(sizes, encoded_most, Path(folder))
        limited = limited_table(limited_bytes, Path(folder))
        exchange = all_reduce(Path(folder))
    parts = [before, growth_table(found), limited, arithmetic(found, exchange), str(disturbance)]
    for part in parts:
        click.echo(f"\n{part}")
    if page:
        picture = page.with_suffix(".svg")
        draw(found, picture)
        parts.insert(2, f"![Images a second and memory, by the number of images]({picture.name})")
        put(page, SECTION, "\n\n".join(parts))


def measure(sizes: Sequence[int], encoded_most: int, folder: Path) -> Found:
    """Measure each way at each size: images a second, and the peak memory of the largest process in bytes."""
    found: Found = {}
    for size in sizes:
        place = folder / str(size)
        place.mkdir()
        epochs = max(1, EPOCH_IMAGES // size)
        write(place, size)
        found.setdefault("training from memory", {})[size] = fresh(from_memory, folder=str(place), epochs=epochs)
        found.setdefault("training from the mapped cache", {})[size] = fresh(
            from_file, folder=str(place), epochs=epochs, limit=LIMIT
        )
        if size <= encoded_most:
            fresh(encode, folder=str(place))
            parquet = fresh(from_parquet, folder=str(place), epochs=epochs, limit=LIMIT)
            found.setdefault("decoding Parquet, the first time", {})[size] = parquet["decoding"]
            found.setdefault("training from Parquet, decoded", {})[size] = parquet["training"]
            for workers in (1, 2):
                name = f"scoring Parquet, {workers} worker{'s' * (workers - 1)}"
                found.setdefault(name, {})[size] = fresh(score, folder=str(place), workers=workers)
        for path in place.glob("*.npy"):
            path.unlink()
    return found


def from_memory(folder: str, epochs: int) -> dict[str, float]:
    """Train on images in memory."""
    from trainer import Split

    images, targets = (np.load(Path(folder, f"{name}.npy")) for name in ("images", "targets"))
    return rate(figures(Split.of(images, targets), epochs)["per_image"])


def from_file(folder: str, epochs: int, limit: int) -> dict[str, float]:
    """Train on images that are mapped, within a memory limit; the file is in the system's cache."""
    from trainer import Split

    path = Path(folder, "images.npy")
    with path.open("rb") as file:
        while file.read(2**24):
            continue
    targets = np.load(Path(folder, "targets.npy"))
    train = Split.of(np.load(path, mmap_mode="r"), targets)
    return rate(figures(train, epochs, memory_limit=limit)["per_image"])


def from_parquet(folder: str, epochs: int, limit: int) -> dict[str, dict[str, float]]:
    """Decode Parquet into a new cache, then train from that."""
    from trainer import load_data

    os.environ["KIT_CACHE_DIR"] = str(Path(folder, "cache"))
    started = time.perf_counter()
    data = load_data(Path(folder, "images.parquet"), image_size=SIDE, color="L")
    count = len(data.train) + len(data.test)
    decoding = rate((time.perf_counter() - started) / count)
    decoding["peak"] = max(decoding["peak"], resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
    return {"decoding": decoding, "training": rate(figures(data.train, epochs, memory_limit=limit)["per_image"])}


def encode(folder: str) -> dict[str, float]:
    """Write images.npy as Parquet with PNG files, and a small model to score them with."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    from export import export
    from trainer import FitConfig, fit

    images = np.load(Path(folder, "images.npy"), mmap_mode="r")
    targets = np.load(Path(folder, "targets.npy"))
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema({"image": kind, "label": pa.int64()})
    with pq.ParquetWriter(Path(folder, "images.parquet"), schema, compression="none") as writer:
        for start in range(0, len(images), ROW_GROUP):
            rows = []
            for image in images[start : start + ROW_GROUP]:
                file = io.BytesIO()
                Image.fromarray(image[..., 0]).save(file, "PNG", compress_level=1)
                rows.append({"bytes": file.getvalue(), "path": None})
            writer.write_table(pa.table([pa.array(rows, kind), targets[start : start + ROW_GROUP]], schema=schema))
    few = np.array(images[:BLOCK]), targets[:BLOCK]
    fitted = fit(few, FitConfig(epochs=1, device="cpu"))
    export(fitted.checkpoint, "onnx", Path(folder, "model.onnx"))
    return {}


def score(folder: str, workers: int) -> dict[str, float]:
    """Score Parquet with the command, in `workers` processes."""
    command = ["classify", "images.parquet", "--model", "model.onnx", "--output", f"scored-{workers}"]
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "kit", *command, "--workers", str(workers), "--json"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    report = json.loads(done.stdout)
    check(report["errors"] == 0, "no errors", report["errors"])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return {"rate": report["images"] / report["seconds"], "peak": peak}


def rate(seconds: float) -> dict[str, float]:
    """Images a second, from the seconds of one, and the peak of this process's resident memory."""
    return {"rate": 1 / seconds, "peak": memory("VmHWM")}


def growth_table(found: Found) -> str:
    """Lay out images a second and peak memory, a row for each way."""
    sizes = sorted({size for by_size in found.values() for size in by_size})
    rows = [
        (
            name,
            *(
                f"{by_size[size]['rate']:,.0f}; {by_size[size]['peak'] / MB:,.0f} MB" if size in by_size else ""
                for size in sizes
            ),
        )
        for name, by_size in found.items()
    ]
    return table(("images a second; peak memory", *(f"{size:,}" for size in sizes)), rows)


def limited_table(size: int, folder: Path) -> str:
    """Compare a process with 1 GB more than its imports take with one that has the images in memory."""
    count = size // SIDE**2
    write(folder, count)
    runs = [
        (fresh(from_memory, folder=str(folder), epochs=2), fresh(mapped, folder=str(folder), room=GB, epochs=2))
        for _ in range(2)
    ]
    whole, limited = median(one["rate"] for one, _ in runs), median(1 / other["per_image"] for _, other in runs)
    beyond = median(other["anonymous"] - other["imported"] for _, other in runs)
    row = (f"{count:,}", f"{size / GB:.1f}", f"{whole:,.0f}", f"{limited:,.0f}", f"{limited / whole:.2f}",
           aimed(limited / whole, 0.5, least=True), f"{beyond / GB:.2f}")  # fmt: skip
    head = ("images", "GB", "in memory, images/s", "with 1 GB, images/s", "÷", "target", "anonymous memory taken, GB")
    return table(head, [row])


def all_reduce(folder: Path) -> float:
    """Seconds that two processes on this machine take to sum this model's gradient."""
    script = folder / "exchange.py"
    script.write_text(
        "import time, torch\n"
        "from trainer.distributed import group\n"
        f"numbers = torch.zeros({SIDE**2 * CLASSES + CLASSES + 1})\n"
        "with group(torch.device('cpu')) as processes:\n"
        f"    started = time.perf_counter()\n    for _ in range({STEPS}):\n        processes.sum(numbers)\n"
        f"    if processes.rank == 0:\n        print((time.perf_counter() - started) / {STEPS})\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)  # noqa: S603
    return float(done.stdout)


def arithmetic(found: Found, exchange: float) -> str:
    """Estimate from the largest sizes what 10⁸ and 10¹⁰ images need."""
    rates = {name: by_size[max(by_size)]["rate"] for name, by_size in found.items()}
    train, decode = rates["training from the mapped cache"], rates["decoding Parquet, the first time"]
    scoring = rates["scoring Parquet, 1 worker"]
    gradient = 4 * (SIDE**2 * CLASSES + CLASSES + 1)
    wire = 2 * gradient / NODE["network"]  # a ring sends it about twice
    rows = [
        ("pixels", *(f"{count * SIDE**2 / 1e12:,.2f} TB" for count in HORIZONS)),
        *(
            (f"{name}, core hours", *(f"{passes * count / speed / 3600:,.1f}" for count in HORIZONS))
            for name, passes, speed in (
                ("decoding once", 1, decode / 2),
                (f"{EPOCHS} epochs", EPOCHS, train),
                ("scoring once", 1, scoring),
            )
        ),
        (f"{EPOCHS} epochs, hours of one disk at 1 GB/s", *(f"{disk(count):,.1f}" for count in HORIZONS)),
        ("nodes of 16 cores to decode in an hour", *(nodes(count / (decode / 2)) for count in HORIZONS)),
        ("nodes of 16 cores to score in an hour", *(nodes(count / scoring) for count in HORIZONS)),
        (
            f"nodes with a 1 GB/s disk for {EPOCHS} epochs in an hour",
            *(f"{math.ceil(disk(count)):,}" for count in HORIZONS),
        ),
        ("gradient to sum, a step", *(f"{gradient:,} bytes" for _ in HORIZONS)),
        ("its time between two processes here", *(f"{exchange * 1e6:,.0f} µs" for _ in HORIZONS)),
        ("its time at 10 Gbit/s, without latency", *(f"{wire * 1e6:,.0f} µs" for _ in HORIZONS)),
    ]  # fmt: skip
    return table(("estimate", *(f"10{'⁸' if count == 10**8 else '¹⁰'} images" for count in HORIZONS)), rows)


def disk(count: int) -> float:
    """Hours that a node's disk takes to read the images for all epochs."""
    return EPOCHS * count * SIDE**2 / NODE["disk"] / 3600


def nodes(core_seconds: float) -> str:
    """Nodes that do so much work in an hour."""
    return f"{math.ceil(core_seconds / 3600 / NODE['cores']):,}"


def draw(found: Found, path: Path) -> None:
    """Draw images a second and peak memory over the number of images, both on logarithmic scales."""
    from matplotlib.ticker import EngFormatter, LogLocator

    with drawing(path, height=4.2) as figure:
        for axes, key, unit, label in zip(
            figure.subplots(1, 2), ("rate", "peak"), (1, MB), ("images a second", "peak memory, MB"), strict=True
        ):
            for name, by_size in found.items():
                axes.loglog(list(by_size), [run[key] / unit for run in by_size.values()], label=name)
            axes.set(xlabel="images", title=f"{label}; logarithmic scales")
            axes.grid(visible=True)
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
            axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
            axes.yaxis.set_major_formatter("{x:,.0f}")
            axes.yaxis.set_minor_formatter("{x:,.0f}")
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, handlelength=3)

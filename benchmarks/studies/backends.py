"""Benchmark of the backend numpy next to onnxruntime; Markdown on standard output.

python -m benchmarks.backends --data-dir DIR
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from ..tools.measure import aimed, check, fashion, fashion_dir, interleaved, process, table
from ..tools.page import show

BACKENDS = ("numpy", "onnxruntime")
FORMATS = ("onnx", "onnx-int8")
TARGETS = {"one image": 1.5, "onnx": 1.2}
PEAK = "\nprint([line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')][0])"
IMPORT = "import numpy" + PEAK
FIRST = (
    "import sys, runtime; classifier = runtime.load(sys.argv[1], backend='numpy'); import numpy; "
    "classifier.classify(numpy.load(sys.argv[2]))" + PEAK
)


@click.command()
@fashion
@click.option("--rounds", type=click.IntRange(1), default=15, show_default=True)
def main(data_dir: Path | None, rounds: int) -> None:
    """Compare answers, time, memory and start, on a model of Fashion-MNIST."""
    folder = fashion_dir(data_dir)
    with tempfile.TemporaryDirectory() as place:
        show("numpy next to onnxruntime", compare("fashion-mnist", folder, Path(place), rounds))


def compare(data: str, data_dir: Path | None, place: Path, rounds: int) -> Iterator[str]:
    """Yield tables. place: an empty folder to work in."""
    from export import export
    from trainer import fit, load_data

    dataset = load_data(data, data_dir=data_dir)
    checkpoint = fit(dataset).checkpoint
    paths = {name: export(checkpoint, name, place / f"model-{name}.onnx").path for name in FORMATS}
    images = dataset.test.images.numpy()
    np.save(place / "one.npy", images[0])
    yield answers(paths, images, rounds)
    yield start(paths["onnx"], place / "one.npy", rounds)


def answers(paths: dict[str, Path], images: NDArray[np.uint8], rounds: int) -> str:
    """Compare answers, and their time: of all images at once, and one by one."""
    import runtime

    rows = []
    for name, path in paths.items():
        opened = {backend: runtime.load(path, backend=backend) for backend in BACKENDS}
        ours, theirs = (opened[backend].probabilities(images) for backend in BACKENDS)
        flips = int((ours.argmax(axis=1) != theirs.argmax(axis=1)).sum())
        check(np.abs(ours - theirs).max() <= 1e-5 and flips == 0, "onnxruntime's answers", "others")
        calls: dict[str, Callable[[], Any]] = {
            backend: partial(one.probabilities, images) for backend, one in opened.items()
        }
        batch = _ratio(interleaved(calls, rounds))
        single = _ratio({backend: _singles(one.classify, images[:500], rounds) for backend, one in opened.items()})
        rows.append((
            name, f"{np.abs(ours - theirs).max():.1e}", flips, f"{single:.2f}", aimed(single, TARGETS["one image"]),
            f"{batch:.2f}", aimed(batch, TARGETS[name]) if name in TARGETS else "",
        ))  # fmt: skip
    head = (
        "numpy ÷ onnxruntime", f"largest difference, {len(images):,} images", "labels that differ", "time of one image",
        "target", "time of all at once", "target",
    )  # fmt: skip
    return table(head, rows)


def _singles(classify: Callable[[NDArray[np.uint8]], Any], images: NDArray[np.uint8], rounds: int) -> list[float]:
    taken, clock = [], time.perf_counter
    for number in range(-1, rounds):
        for image in images:
            started = clock()
            classify(image)
            if number >= 0:
                taken.append(clock() - started)
    return taken


def _ratio(seconds: dict[str, list[float]]) -> float:
    ours, theirs = (median(seconds[backend]) for backend in BACKENDS)
    return ours / theirs


def start(path: Path, image: Path, rounds: int) -> str:
    """Compare a fresh process that classifies one image with one that imports numpy."""
    peaks: dict[str, list[int]] = {"ours": [], "numpy": []}
    commands = {"ours": ("-c", FIRST, path, image), "numpy": ("-c", IMPORT)}

    def run(name: str) -> None:
        peaks[name].append(int(process(*commands[name])))

    seconds = interleaved({name: partial(run, name) for name in commands}, rounds)
    mine, other = (median(seconds[name]) for name in commands)
    more = (median(peaks["ours"]) - median(peaks["numpy"])) / 1024
    ratio, memory = mine / other, [f"{median(peaks[name]) / 1024:.1f}" for name in commands]
    rows = [
        ("start to the first answer, s", f"{mine:.3f}", f"{other:.3f}", f"× {ratio:.2f}", aimed(ratio, 1.1)),
        ("peak memory, MB", *memory, f"+ {more:.1f}", aimed(more, 3)),
    ]
    return table(("a fresh process", "one image", "import numpy", "more", "target"), rows)

"""Benchmark of the runtime next to a bare onnxruntime session on the same file; Markdown on standard output.

python -m benchmarks.runtime --data-dir DIR
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from ..tools.measure import aimed, check, comparison, fashion, fashion_dir, interleaved, process, table
from ..tools.page import show

OURS = "classifier.classify(array)"
BARE = "a bare session.run(None, {'images': x})"
COLD = "cold start to the first answer, s"
DECIDING = 1.05  # calls of a bare session, for one call with a threshold and familiarity
OPENERS = "benchmarks.peers.openers"
THREADS = 8
GROUP = """
import click
@click.group()
def main(): pass
for name in ("train", "export", "classify", "evaluate", "inspect", "selftest", "bench"):
    main.command(name)(lambda: None)
main(["--help"])
"""


@click.command()
@fashion
@click.option("--rounds", type=click.IntRange(1), default=15, show_default=True)
@click.option("--calls", type=click.IntRange(100), default=20_000, show_default=True, help="Calls in each thread.")
def main(data_dir: Path | None, rounds: int, calls: int) -> None:
    """Time classifying, starting and importing, on a model of Fashion-MNIST."""
    folder = fashion_dir(data_dir)
    with tempfile.TemporaryDirectory() as place:
        show("The runtime on Fashion-MNIST", compare("fashion-mnist", folder, Path(place), rounds=rounds, calls=calls))


def compare(data: str, data_dir: Path, place: Path, *, rounds: int, calls: int) -> Iterator[str]:
    """Yield tables. place: an empty folder to work in."""
    from export import export
    from trainer import FitConfig, fit, load_data

    dataset = load_data(data, data_dir=data_dir)
    path = place / "ours" / "model.onnx"  # where the openers look
    path.parent.mkdir()
    export(fit(dataset).checkpoint, "onnx", path)
    images = dataset.test.images.numpy()
    np.save(place / "one.npy", images[0])
    yield latency(path, images, rounds)
    deciding = place / "deciding.onnx"
    export(fit(dataset, FitConfig(max_error=0.05, familiarity=True)).checkpoint, "onnx", deciding)
    yield "With a threshold and familiarity:\n\n" + latency(deciding, images, rounds, most=DECIDING)
    yield batch(path, images, rounds)
    yield threads(path, images, calls)
    yield starts(place, rounds)


def bare_session(path: Path) -> Any:
    """Open the file as the runtime does, without the runtime."""
    from runtime.session import open_session

    return open_session(path.read_bytes())


def latency(path: Path, images: NDArray[np.uint8], rounds: int, *, most: float = 1.0) -> str:
    """Compare single calls: both answer the same images in turns; percentiles over all calls.

    most: of ours, in calls of the bare session.
    """
    import runtime

    classifier, session = runtime.load(path), bare_session(path)
    contenders: dict[str, Callable[[NDArray[np.uint8]], Any]] = {
        OURS: classifier.classify,
        BARE: lambda image: session.run(None, {"images": image[None]}),
    }
    some = list(images[:500])
    wanted = classifier.probabilities(images[:500]).argmax(axis=1).tolist()
    check([classifier.classify(image).index for image in some] == wanted, "the batch's labels", "others")
    times: dict[str, list[int]] = {name: [] for name in contenders}
    clock = time.perf_counter_ns
    for number in range(-1, rounds):
        for name, call in contenders.items():
            taken = []
            for image in some:
                started = clock()
                call(image)
                taken.append(clock() - started)
            if number >= 0:
                times[name] += taken
    cuts = {name: quantiles(taken, n=100) for name, taken in times.items()}
    p50, p99 = ({name: cut[place] / 1000 for name, cut in cuts.items()} for place in (49, 98))
    rows = [
        (
            name,
            f"{p50[name]:.1f}",
            f"{p99[name]:.1f}",
            "" if name == OURS else f"{p50[OURS] / p50[name]:.3f}",
            aimed(p50[OURS] / p50[name], most) if name == BARE else "",
            "" if name == OURS else f"{p99[OURS] / p99[name]:.3f}",
            aimed(p99[OURS] / p99[name], 1.5) if name == BARE else "",
        )
        for name in contenders
    ]
    head = ("one image", "p50, µs", "p99, µs", "ours ÷ this, p50", "target", "ours ÷ this, p99", "target")
    return table(head, rows)


def batch(path: Path, images: NDArray[np.uint8], rounds: int) -> str:
    """Compare a batch of all images."""
    import runtime

    classifier, session = runtime.load(path), bare_session(path)
    same = np.array_equal(classifier.probabilities(images), session.run(None, {"images": images})[0])
    check(same, "the bare session's probabilities", "others")
    ours, bare = f"probabilities of {len(images):,} images", "the bare session's run"
    seconds = interleaved(
        {ours: lambda: classifier.probabilities(images), bare: lambda: session.run(None, {"images": images})},
        rounds * 5,
    )
    return comparison(seconds, ours, {bare: 1.02})


def threads(path: Path, images: NDArray[np.uint8], calls: int) -> str:
    """Compare the throughput of eight threads with one classifier, and with a bare session each."""
    import runtime

    classifier = runtime.load(path)
    sessions = [bare_session(path) for _ in range(THREADS)]
    expected = [classifier.classify(image).index for image in images[:THREADS]]

    def ours(number: int) -> None:
        image, index = images[number], expected[number]
        check(all(classifier.classify(image).index == index for _ in range(calls)), "the same answer", "another")

    def bare(number: int) -> None:
        run, feed = sessions[number].run, {"images": images[number][None]}
        index = expected[number]
        check(all(run(None, feed)[0][0].argmax() == index for _ in range(calls)), "the same answer", "another")

    names = {f"one classifier in {THREADS} threads": ours, f"{THREADS} bare sessions in as many threads": bare}
    with ThreadPoolExecutor(THREADS) as pool:
        seconds = interleaved({name: partial(all_threads, pool, do) for name, do in names.items()}, 3)
    mine, others = (median(taken) for taken in seconds.values())
    rows = [(name, f"{THREADS * calls / median(taken):,.0f}", "", "") for name, taken in seconds.items()]
    ratio = others / mine
    rows[1] = (*rows[1][:2], f"{ratio:.3f}", aimed(ratio, 0.9, least=True))
    return table(("what", "calls a second", "ours ÷ this", "target"), rows)


def all_threads(pool: ThreadPoolExecutor, do: Callable[[int], None]) -> None:
    """Run a function in all threads, to its end."""
    list(pool.map(do, range(THREADS)))


def starts(place: Path, rounds: int) -> str:
    """Compare fresh processes: the first answer, its memory, imports, and the help."""
    pairs = {
        COLD: (
            ("-m", "benchmarks.peers.openers", "ours", place),
            ("-m", "benchmarks.peers.openers", "bare", place),
            1.10,
        ),
        "import runtime; against numpy and onnxruntime, s": (
            ("-c", "import runtime.session; runtime.session.onnxruntime()"),
            ("-c", "import os; os.environ['ORT_DISABLE_TELEMETRY'] = '1'; import numpy, onnxruntime"),
            1.10,
        ),
        "kit --help; against an empty click group, s": (("-m", "kit", "--help"), ("-c", GROUP), 1.5),
    }
    rows = []
    for name, (ours, peer, limit) in pairs.items():
        outputs: dict[str, list[str]] = {"ours": [], "peer": []}
        seconds = interleaved(
            {name: partial(run, command, outputs[name]) for name, command in (("ours", ours), ("peer", peer))}, rounds
        )
        mine, other = median(seconds["ours"]), median(seconds["peer"])
        rows.append((name, f"{mine:.3f}", f"{other:.3f}", f"{mine / other:.3f}", aimed(mine / other, limit)))
        if name == COLD:
            answers = {key: list(map(json.loads, lines)) for key, lines in outputs.items()}
            same = answers["ours"][0]["answer"] == answers["peer"][0]["answer"]
            check(same, "the bare session's answer", "another")
            memory = {key: median(one["peak"] / 1e6 for one in ones) for key, ones in answers.items()}
            ratio = memory["ours"] / memory["peer"]
            numbers = (f"{memory['ours']:.1f}", f"{memory['peer']:.1f}", f"{ratio:.3f}")
            rows.append(("peak memory of that process, MB", *numbers, aimed(ratio, 1.05)))
    return table(("a fresh process", "ours", "the bare one", "ours ÷ this", "target"), rows)


def run(command: Sequence[str | Path], outputs: list[str]) -> None:
    """Run Python to its end, and keep what it printed."""
    outputs.append(process(*command))

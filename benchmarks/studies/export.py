"""Benchmark of exporting: its cost, the files' sizes, and their accuracy; Markdown on standard output.

python -m benchmarks.export --data-dir DIR
"""

import json
import resource
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from runtime.artefact import INPUT

from ..tools.measure import Figures, aimed, check, fashion, fashion_dir, interleaved, process, table
from ..tools.page import show

EXPORT = "kit export --format onnx"
IMPORTS = "python -c 'import numpy, onnxruntime, onnx'"
BATCHES = (64, 1024, 4096)
KIB = 1024


@click.command()
@fashion
@click.option("--rounds", type=click.IntRange(1), default=15, show_default=True)
def main(data_dir: Path | None, rounds: int) -> None:
    """Time exporting and its files, on a model of Fashion-MNIST."""
    folder = fashion_dir(data_dir)
    with tempfile.TemporaryDirectory() as place:
        show("Exporting Fashion-MNIST", compare("fashion-mnist", folder, Path(place), rounds=rounds))


def compare(data: str, data_dir: Path, place: Path, *, rounds: int) -> Iterator[str]:
    """Yield tables. place: an empty folder to work in."""
    from trainer import fit, load_data, save_checkpoint

    dataset = load_data(data, data_dir=data_dir)
    checkpoint = place / "model.safetensors"
    save_checkpoint(fit(dataset).checkpoint, checkpoint)
    yield processor_time(checkpoint, rounds)
    reports = export_all(checkpoint, data, data_dir)
    yield sizes(reports)
    yield throughput(
        {report["format"]: Path(report["path"]) for report in reports}, dataset.test.images.numpy(), rounds
    )


def processor_time(checkpoint: Path, rounds: int) -> str:
    """Compare the processor time of the command with that of its imports alone."""
    commands = {
        EXPORT: partial(process, "-m", "kit", "export", checkpoint, "--format", "onnx"),
        IMPORTS: partial(process, "-c", "import numpy, onnxruntime, onnx"),
    }
    seconds = interleaved(commands, rounds, clock=children)
    middles = {name: median(taken) for name, taken in seconds.items()}
    more = middles[EXPORT] - middles[IMPORTS]
    rows = [(name, f"{middle:.3f}", "", "") for name, middle in middles.items()]
    return table(
        ("what", "processor time, median, s", "more than the imports, s", "target"),
        [(*rows[0][:2], f"{more:.3f}", aimed(more, 1.0)), rows[1]],
    )


def children() -> float:
    """Processor seconds of the child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def export_all(checkpoint: Path, data: str, data_dir: Path) -> list[Figures]:
    """Export to every format, verified on all test images; return the reports."""
    from export.formats import FORMATS

    formats = [part for name in FORMATS for part in ("--format", name)]
    output = process(
        "-m", "kit", "export", checkpoint, *formats, "--verify-on", data, "--data-dir", data_dir.resolve(), "--json"
    )
    reports: list[Figures] = json.loads(output)
    return reports


def sizes(reports: list[Figures]) -> str:
    """Lay out the sizes of the files, and their figures on the test images."""
    from export.formats import FORMATS
    from runtime.artefact import dumps
    from runtime.entries import PREFIX

    limits = {"onnx": 36 * KIB, "onnx-int8": 12 * KIB}
    rows = []
    for report in reports:
        name, found = report["format"], report["verification"]
        metadata = FORMATS[name].load().open_artefact(Path(report["path"])).metadata
        rest = report["size"] - len(PREFIX + "golden" + dumps(metadata.to_json()["golden"]))
        gap = abs(found["accuracy"] - found["trained_accuracy"])
        rows.append(
            (
                name,
                f"{report['size']:,}",
                f"{rest:,}",
                aimed(rest, limits[name]) if name in limits else "",
                f"{found['accuracy']:.4f}",
                aimed(gap, 0.002) if name == "onnx-int8" else "",
                f"{found['max_difference']:.1e}",
                found["label_flips"],
                f"{found['certain']:.2%}",
            )
        )
    return table(
        (
            "format",
            "bytes",
            "without golden examples",
            "target",
            "test accuracy",
            "target, of the difference",
            "largest difference in probability",
            "labels that differ",
            "certain not to",
        ),
        rows,
    )


def throughput(paths: dict[str, Path], images: NDArray[np.uint8], rounds: int) -> str:
    """Compare the two ONNX files' throughput on the same images, in bare sessions with one thread."""
    import runtime
    from runtime.session import open_session

    sessions = {name: open_session(paths[name].read_bytes()) for name in ("onnx-int8", "onnx")}
    for name, session in sessions.items():
        same = np.array_equal(session.run(None, {INPUT: images})[0], runtime.load(paths[name]).probabilities(images))
        check(same, f"{name} to answer as the runtime does", "other probabilities")
    rows = []
    for size in BATCHES:
        blocks = [images[start : start + size] for start in range(0, len(images), size)]
        seconds = interleaved(
            {name: partial(answer, session, blocks) for name, session in sessions.items()}, rounds * 5
        )
        int8, float32 = (len(images) / median(taken) for taken in seconds.values())
        target = aimed(int8 / float32, 1.5, least=True) if size == BATCHES[-1] else ""
        rows.append((f"{size:,}", f"{int8:,.0f}", f"{float32:,.0f}", f"{int8 / float32:.2f}", target))
    return table(("images in a batch", "int8, images/s", "float32, images/s", "int8 ÷ float32", "target"), rows)


def answer(session: Any, blocks: list[NDArray[np.uint8]]) -> None:
    """Answer for blocks of images, one after the other."""
    for block in blocks:
        session.run(None, {INPUT: block})

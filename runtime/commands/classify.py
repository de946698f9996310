"""The commands that need no torch: `kit classify`, `kit inspect`, `kit selftest` and `kit bench`.

What only one of them needs is imported where it is used, so that none starts later for another's sake.
"""

import math
import os
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from ..classifier import Classifier, load
from ..errors import InputError, KitError, naming
from ..image import MAX_FILE_BYTES, Pixels
from ..skew.first_images import LOOK_AT, SkewWarning
from ..skew.measures import findings
from ..text import as_json, complain, printable, say

STANDARD_INPUT = "-"
INTERRUPTED = 130
PROGRESS_SECONDS = 0.1
CLEAR_REST = "\x1b[K"
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


@click.command()
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option("--model", type=click.Path(path_type=Path), required=True, help="The artefact, an .onnx or .ort file.")
@click.option("--top-k", type=click.IntRange(1), help="Labels to list for each image.  [default: 1]")
@click.option("--json", "json", is_flag=True, help="Print the predictions, or a summary of those written, as JSON.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder to write the predictions to, as Parquet.")
@click.option("--engine", type=click.Choice(["local", "ray"]), help="Who scores for --output.  [default: local]")
@click.option("--workers", type=click.IntRange(1), help="Processes or actors for --output.  [default: one a core]")
@click.option("--column", metavar="NAME", help="With the images, in Parquet that has several such.")
def classify(
    images: tuple[str, ...],
    model: Path,
    top_k: int | None,
    json: bool,
    output: Path | None,
    engine: str | None,
    workers: int | None,
    column: str | None,
) -> None:
    """Classify images, one line each: the file, then label and probability, best first.

    IMAGE is a file, a folder with all the images below it, or - for one image on standard input. An image that cannot
    be read is named on standard error, the others are answered, and the exit status is 1. Images that look unlike the
    training images are answered, and named there too.

    With --output, for many images: IMAGE may also be a glob, or Parquet with encoded images, a file, a folder or a URL.
    The predictions are written as Parquet, a row an image in their order, with path, row (of Parquet), label, index,
    probability and error, which says why an image cannot be read; the exit status is 0 all the same. --engine local
    takes processes on this machine; ray takes actors, on the cluster that RAY_ADDRESS names or on a local Ray.
    """
    if output is None:
        if engine or workers or column:
            raise click.UsageError("--engine, --workers and --column go with --output")
        _answer(images, model, top_k or 1, json)
    elif top_k is not None or STANDARD_INPUT in images:
        raise click.UsageError("--top-k and - for standard input do not go with --output")
    else:
        _score(images, model, output, json, engine=engine or "local", workers=workers, column=column)


def _score(
    images: tuple[str, ...],
    model: Path,
    output: Path,
    json: bool,
    **settings: Any,
) -> None:
    """Write predictions to a folder and say how many."""
    from ..scoring.score import score_all

    started = time.monotonic()
    progress = _Progress()
    try:
        summary = score_all(model, images, output, progress=progress, **settings)
    except KeyboardInterrupt:
        complain(f"interrupted: {output} is not written")
        sys.exit(INTERRUPTED)
    finally:
        progress.clear()
    seconds = time.monotonic() - started
    if json:
        engine = settings["engine"]
        counts = {"images": summary.images, "errors": summary.errors}
        say(as_json(counts | {"output": str(output), "engine": engine, "seconds": round(seconds, 3)}))
    else:
        say(f"wrote {printable(output)}: {summary.images:,} images, {summary.errors:,} errors, {seconds:.1f} s")
    if summary.errors:
        more = "; …" if summary.errors > len(summary.named) else ""
        complain(f"{summary.errors:,} of {summary.images:,} images cannot be read: {'; '.join(summary.named)}{more}")
    for note in summary.notes:
        complain(f"note: {note}")


class _Progress:
    """A line on a terminal's standard error, nothing elsewhere."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._started = self._last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._shown and now - self._last >= PROGRESS_SECONDS:
            self._last = now
            rate = done / (now - self._started)
            print(
                f"\r{done:,} of {total:,} images, {rate:,.0f} images/s{CLEAR_REST}", end="", file=sys.stderr, flush=True
            )

    def clear(self) -> None:
        """Wipe the line."""
        if self._shown:
            print(f"\r{CLEAR_REST}", end="", file=sys.stderr, flush=True)


def _answer(images: tuple[str, ...], model: Path, top_k: int, json: bool) -> None:
    """Print predictions."""
    from concurrent.futures import ThreadPoolExecutor

    classifier = load(model)
    warnings.simplefilter("ignore", SkewWarning)  # said below, of all images
    warnings.filterwarnings("ignore", module="PIL")  # what is too damaged to use comes as an error besides
    looked_at: list[Pixels] = []

    def answer(name: str) -> dict[str, Any]:
        try:
            pixels = classifier.metadata.image.pixels(_input() if name == STANDARD_INPUT else Path(name))
        except InputError as error:
            return {"image": name, "error": str(error)}
        if len(looked_at) < LOOK_AT[-1]:
            looked_at.append(pixels)
        return {"image": name} | _prediction(classifier, pixels, top_k)

    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(answer, _names(images)))
    wrong = [item["error"] for item in answers if "error" in item]
    if json:
        say(as_json(answers))
    else:
        _print([item for item in answers if "error" not in item])
    skew = findings(np.stack(looked_at), classifier.metadata.pixel_statistics) if looked_at else []
    for message in (*wrong, *(f"note: {finding.message}" for finding in skew)):
        complain(message)
    sys.exit(1 if wrong else 0)


def _input() -> bytes:
    return sys.stdin.buffer.read(MAX_FILE_BYTES + 1)


def _names(given: tuple[str, ...]) -> Iterator[str]:
    """Name every image: a folder stands for the images below it, in the order of their names. Raises InputError."""
    from ..scoring.inputs import images_below

    for name in given:
        if name == STANDARD_INPUT or not os.path.isdir(name):  # noqa: PTH112 - Path raises for a name that is too long
            yield name
            continue
        yield from images_below(name)


def _print(answers: list[dict[str, Any]]) -> None:
    width = max((len(printable(item["image"])) for item in answers), default=0)
    for item in answers:
        top = "  ".join(f"{printable(entry['label'])} {entry['probability']:.4f}" for entry in item["top"])
        say(f"{printable(item['image']):<{width}}  {top}")


def _prediction(classifier: Classifier, pixels: Pixels, top_k: int) -> dict[str, Any]:
    prediction = classifier.classify(pixels, top_k=top_k)
    skew = findings(pixels[None], classifier.metadata.pixel_statistics)
    return {
        "label": prediction.label,
        "probability": prediction.probability,
        "index": prediction.index,
        "top": [{"label": label, "probability": probability} for label, probability in prediction.top],
        "skew": [{"cause": finding.cause, "message": finding.message} for finding in skew],
    }


@click.command()
@click.argument("artefact", type=click.Path(path_type=Path))
@click.option("--json", "as_document", is_flag=True, help="Print what was found as JSON.")
def inspect(artefact: Path, as_document: bool) -> None:
    """Say what is in ARTEFACT, of any format that `kit export` writes: labels, image contract, provenance, and so on.

    Of a model that is no artefact it says what the file has and what it lacks, and exits 1.
    """
    from .inspect import as_text, describe

    try:
        found = describe(artefact)
        text = as_json(found) if as_document else as_text(found)
    except RecursionError:
        complain(f"{artefact}: expected metadata of a few levels, found some too deeply nested: export it again")
        sys.exit(1)
    say(text)
    if "error" in found:
        complain(found["error"])
        sys.exit(1)


@click.command()
@click.argument("artefact", type=click.Path(path_type=Path))
def selftest(artefact: Path) -> None:
    """Run the golden examples in ARTEFACT on this device and compare with the trained model's probabilities.

    Exits 1 where one differs by more than the artefact allows: the file gives other answers here than where it was
    made.
    """
    classifier = load(artefact)
    with naming(str(artefact)):
        difference = classifier.selftest()
    golden = classifier.metadata.golden
    say(
        f"{printable(artefact)}: largest difference {difference:.2g} in {len(golden.images)} golden examples, "
        f"tolerance {golden.tolerance:g}"
    )


def read_budget(_context: click.Context, _option: click.Parameter, text: str) -> dict[str, float]:
    """Read `p99_us=50,rss_mb=90`; a figure that is not there, or no number, is a wrong call."""
    budget: dict[str, float] = {}
    for part in text.split(",") if text else ():
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
@click.argument("artefacts", metavar="ARTEFACT...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--budget",
    metavar="NAME=NUMBER,...",
    default="",
    callback=read_budget,
    help=f"Exit 1 where a figure is above its number, or below it for {' and '.join(AT_LEAST)}. "
    f"Names: {', '.join(COLUMNS)}.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 60),
    default=2.0,
    show_default=True,
    help="To take for each artefact, about.",
)
@click.option("--json", "as_document", is_flag=True, help="Print the figures as JSON.")
def bench(artefacts: tuple[Path, ...], budget: dict[str, float], seconds: float, as_document: bool) -> None:
    """Measure each ARTEFACT on this device, after its self-test.

    load: opening the file. cold: from the start of a fresh Python process to its first answer. p50, p99: classifying
    one array. images/s: probabilities of 64 and of 1,024 images at a time. peak: memory of the fresh process, in MB of
    2^20 bytes. A figure that cannot be had here is a dash.
    """
    from .bench import machine

    entries = [_entry(path, seconds) for path in artefacts]
    say(as_json(entries) if as_document else _table(entries, machine()))
    complaints = [line for entry in entries for line in _complaints(entry, budget)]
    for line in complaints:
        complain(line)
    if complaints:
        sys.exit(1)


def _entry(path: Path, seconds: float) -> dict[str, Any]:
    from .bench import machine, measure

    try:
        return {"artefact": str(path), **measure(path, seconds), "machine": machine()}
    except KitError as error:
        return {"artefact": str(path), "error": str(error)}


def _complaints(entry: dict[str, Any], budget: dict[str, float]) -> Iterator[str]:
    """What was wrong with one artefact, a line each."""
    if "error" in entry:
        yield entry["error"]
        return
    for name, limit in budget.items():
        found, bound = entry[name], "at least" if name in AT_LEAST else "at most"
        expected = f"{entry['artefact']}: expected {name} {bound} {limit:g}, found"
        if found is None:
            yield f"{expected} none: it cannot be measured here"
        elif found < limit if name in AT_LEAST else found > limit:
            yield f"{expected} {found:.6g}"


def _table(entries: list[dict[str, Any]], machine: dict[str, Any]) -> str:
    rows = [["artefact", *(title for title, _ in COLUMNS.values())]]
    rows += [
        [printable(entry["artefact"]), *(_cell(entry[name], style) for name, (_, style) in COLUMNS.items())]
        for entry in entries
        if "error" not in entry
    ]
    first, *rest = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join([row[0].ljust(first), *map(str.rjust, row[1:], rest)]) for row in rows]
    return "\n".join([*table, ", ".join(f"{name} {value}" for name, value in machine.items())])


def _cell(figure: float | None, style: str) -> str:
    return "-" if figure is None else format(figure, style)

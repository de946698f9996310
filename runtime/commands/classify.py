"""`kit classify`: classifies images with an artefact, and prints the predictions or writes them to a folder."""

import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from ..classifier import Classifier
from ..decoding import MAX_FILE_BYTES
from ..errors import InputError
from ..image import Pixels
from ..loading import load
from ..remarks import Remarks, messages, tally
from ..skew.first_images import LOOK_AT, SkewWarning
from ..skew.measures import findings
from ..text import as_json, complain, printable, say
from .answers import as_items, as_lines
from .options import ARTEFACT, backend_option

STANDARD_INPUT = "-"
ACCEPTING = STORED, ALL = "stored", "all"
INTERRUPTED = 130
CLEAR_LINE = "\r\x1b[K"


@click.command()
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option("--model", type=ARTEFACT, required=True, help="The artefact, an .onnx or .ort file, or its run's folder.")
@backend_option
@click.option("--top-k", type=click.IntRange(1), help="Labels to list for each image.  [default: 1]")
@click.option("--json", "json", is_flag=True, help="Print the predictions, or a summary of those written, as JSON.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder to write the predictions to, as Parquet.")
@click.option("--engine", type=click.Choice(["local", "ray"]), help="What computes for --output.  [default: local]")
@click.option("--workers", type=click.IntRange(1), help="Worker processes for --output.  [default: one per core]")
@click.option("--column", metavar="NAME", help="Parquet column with the images, if several could hold them.")
@click.option("--accept", type=click.Choice(ACCEPTING), default=STORED, show_default=True,
              help="stored: ? for a label that is not accepted or an unfamiliar image; all: every label.")  # fmt: skip
@click.option("--confidence", type=float, metavar="F", help="List the prediction set with this confidence, as 0.95.")
def classify(
    images: tuple[str, ...], model: Path, backend: str, top_k: int | None, json: bool, output: Path | None,
    accept: str, confidence: float | None, **settings: Any,
) -> None:  # fmt: skip
    """Classify images, one line each as it comes: the file, then label and probability, best first.

    IMAGE is a file, a folder with all the images below it, or - for one image on standard input. An image that cannot
    be read is reported on standard error, the others are classified, and the exit status is 1. Input skew, where images
    look unlike the training images, is reported there too. A ? stands in place of the first label where the answer does
    not pass the thresholds in the artefact, or the image is not familiar.

    With --output, for many images: IMAGE may also be a glob, or Parquet with encoded images as a file, a folder or a
    URL. The predictions are written as Parquet, one row per image in the same order: path, row (in the Parquet file),
    label, index, probability, accepted, familiar, set (with --confidence) and error, which says why an image cannot be
    read; the exit status is still 0. --engine local uses worker processes on this machine; ray uses actors, on the
    cluster that RAY_ADDRESS names or on a local Ray.
    """
    if output is None:
        if any(settings.values()):
            raise click.UsageError("--engine, --workers and --column go with --output")
        _answer(images, load(model, backend=backend), _Asked(top_k or 1, confidence, accept == STORED), json)
    elif top_k is not None or STANDARD_INPUT in images:
        raise click.UsageError("--top-k and - for standard input do not go with --output")
    else:
        settings |= {"engine": settings["engine"] or "local", "backend": backend}
        _score(images, model, output, json, confidence=confidence, **settings)


def _score(images: tuple[str, ...], model: Path, output: Path, json: bool, **settings: Any) -> None:
    """Write predictions to a folder and print how many."""
    from ..scoring.score import score_all

    started = time.monotonic()
    try:
        with click.progressbar(
            length=0, label="images", show_pos=True, file=sys.stderr, hidden=not sys.stderr.isatty()
        ) as bar:

            def progress(done: int, total: int) -> None:
                bar.length = total
                bar.update(done - bar.pos)

            summary = score_all(model, images, output, progress=progress, **settings)
    except KeyboardInterrupt:
        complain(f"interrupted: {output} is not written")
        sys.exit(INTERRUPTED)
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


class _Image(NamedTuple):
    """An image to classify: its name, the length of the longest name that is known, why it cannot be listed."""

    name: str
    width: int
    error: str | None = None


class _Asked(NamedTuple):
    """top_k, confidence: as in `Classifier.classify`. abstain: whether to print ? for what is not accepted."""

    top_k: int
    confidence: float | None
    abstain: bool


class _Answer(NamedTuple):
    """What is printed for an image, and what was noticed about it."""

    shown: dict[str, Any]
    width: int
    remarks: Remarks


def _answer(images: tuple[str, ...], classifier: Classifier, asked: _Asked, json: bool) -> None:
    """Print predictions, each as it comes."""
    from ..processes import cpus
    from ..threads import in_threads

    warnings.simplefilter("ignore", SkewWarning)  # reported below, for all images
    warnings.filterwarnings("ignore", module="PIL")  # damage that matters raises an error too
    looked_at: list[Pixels] = []
    shift, remarks, done, wrong = classifier.metadata.image.shift, Counter[str](), 0, 0
    with_bar = sys.stderr.isatty() and not sys.stdout.isatty()
    answer = partial(_classify, classifier, asked, looked_at)
    with (
        closing(in_threads(answer, _list(images), cpus())) as answers,
        as_items() if json else as_lines(abstain=asked.abstain) as show,
        click.progressbar(answers, label="images", show_pos=True, file=sys.stderr, hidden=not with_bar) as bar,
    ):
        for found in bar:
            show(found.shown, found.width)
            remarks += tally([found.remarks], shift)
            done += 1
            if "error" in found.shown:
                wrong += 1
                if with_bar:
                    click.echo(CLEAR_LINE, nl=False, err=True)
                complain(found.shown["error"])
    skew = findings(np.stack(looked_at), classifier.metadata.pixel_statistics) if looked_at else []
    for text in (*(finding.message for finding in skew), *messages(remarks, done, shift)):
        complain(f"note: {text}")
    sys.exit(1 if wrong else 0)


def _classify(classifier: Classifier, asked: _Asked, looked_at: list[Pixels], image: _Image) -> _Answer:
    name, remarks = image.name, Remarks()
    if image.error is not None:
        return _Answer({"image": name, "error": image.error}, image.width, remarks)
    try:
        pixels = classifier.metadata.image.pixels(_input() if name == STANDARD_INPUT else Path(name), remarks)
    except InputError as error:
        return _Answer({"image": name, "error": str(error)}, image.width, Remarks())
    if len(looked_at) < LOOK_AT[-1]:
        looked_at.append(pixels)
    return _Answer({"image": name} | _prediction(classifier, pixels, asked), image.width, remarks)


def _input() -> bytes:
    return sys.stdin.buffer.read(MAX_FILE_BYTES + 1)


def _list(given: tuple[str, ...]) -> Iterator[_Image]:
    """Yield every image: in place of a folder, the images below it in the order of their names."""
    from ..scoring.inputs import images_below

    # Path raises for a name that is too long
    folders = {name for name in given if name != STANDARD_INPUT and os.path.isdir(name)}  # noqa: PTH112
    width = max((len(printable(name)) for name in given if name not in folders), default=0)
    for name in given:
        if name not in folders:
            yield _Image(name, width)
            continue
        try:
            for found in images_below(name):
                yield _Image(found.name, max(width, found.width))
        except InputError as error:
            yield _Image(name, width, str(error))


def _prediction(classifier: Classifier, pixels: Pixels, asked: _Asked) -> dict[str, Any]:
    prediction = classifier.classify(pixels, top_k=asked.top_k, confidence=asked.confidence)
    skew = findings(pixels[None], classifier.metadata.pixel_statistics)
    return {
        "label": prediction.label,
        "probability": prediction.probability,
        "index": prediction.index,
        "top": [{"label": label, "probability": probability} for label, probability in prediction.top],
        "accepted": prediction.accepted,
        "familiar": prediction.familiar,
        **({} if prediction.set is None else {"set": list(prediction.set)}),
        "skew": [{"cause": finding.cause, "message": finding.message} for finding in skew],
    }

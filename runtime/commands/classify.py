"""`kit classify`: classifies images with an artefact, and prints the predictions or writes them to a folder."""

import os
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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

STANDARD_INPUT = "-"
INTERRUPTED = 130


@click.command()
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option("--model", type=click.Path(path_type=Path), required=True, help="The artefact, an .onnx or .ort file.")
@click.option("--top-k", type=click.IntRange(1), help="Labels to list for each image.  [default: 1]")
@click.option("--json", "json", is_flag=True, help="Print the predictions, or a summary of those written, as JSON.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder to write the predictions to, as Parquet.")
@click.option("--engine", type=click.Choice(["local", "ray"]), help="What computes for --output.  [default: local]")
@click.option("--workers", type=click.IntRange(1), help="Worker processes for --output.  [default: one per core]")
@click.option("--column", metavar="NAME", help="Parquet column with the images, if several could hold them.")
def classify(
    images: tuple[str, ...], model: Path, top_k: int | None, json: bool, output: Path | None, **settings: Any
) -> None:
    """Classify images, one line each: the file, then label and probability, best first.

    IMAGE is a file, a folder with all the images below it, or - for one image on standard input. An image that cannot
    be read is reported on standard error, the others are classified, and the exit status is 1. Input skew, where images
    look unlike the training images, is reported there too.

    With --output, for many images: IMAGE may also be a glob, or Parquet with encoded images as a file, a folder or a
    URL. The predictions are written as Parquet, one row per image in the same order: path, row (in the Parquet file),
    label, index, probability and error, which says why an image cannot be read; the exit status is still 0. --engine
    local uses worker processes on this machine; ray uses actors, on the cluster that RAY_ADDRESS names or on a local
    Ray.
    """
    if output is None:
        if any(settings.values()):
            raise click.UsageError("--engine, --workers and --column go with --output")
        _answer(images, model, top_k or 1, json)
    elif top_k is not None or STANDARD_INPUT in images:
        raise click.UsageError("--top-k and - for standard input do not go with --output")
    else:
        _score(images, model, output, json, **settings | {"engine": settings["engine"] or "local"})


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


def _answer(images: tuple[str, ...], model: Path, top_k: int, json: bool) -> None:
    """Print predictions."""
    from ..processes import cpus
    from ..threads import in_threads

    classifier = load(model)
    warnings.simplefilter("ignore", SkewWarning)  # reported below, for all images
    warnings.filterwarnings("ignore", module="PIL")  # damage that matters raises an error too
    looked_at: list[Pixels] = []
    contract, remarks = classifier.metadata.image, list[Remarks]()

    def answer(name: str) -> dict[str, Any]:
        noticed = Remarks()
        try:
            pixels = contract.pixels(_input() if name == STANDARD_INPUT else Path(name), noticed)
        except InputError as error:
            return {"image": name, "error": str(error)}
        remarks.append(noticed)
        if len(looked_at) < LOOK_AT[-1]:
            looked_at.append(pixels)
        return {"image": name} | _prediction(classifier, pixels, top_k)

    answers = list(in_threads(answer, _names(images), cpus()))
    wrong = [item["error"] for item in answers if "error" in item]
    if json:
        say(as_json(answers))
    else:
        _print([item for item in answers if "error" not in item])
    skew = findings(np.stack(looked_at), classifier.metadata.pixel_statistics) if looked_at else []
    odd = messages(tally(remarks, contract.shift), len(answers), contract.shift)
    for message in (*wrong, *(f"note: {text}" for text in (*(finding.message for finding in skew), *odd))):
        complain(message)
    sys.exit(1 if wrong else 0)


def _input() -> bytes:
    return sys.stdin.buffer.read(MAX_FILE_BYTES + 1)


def _names(given: tuple[str, ...]) -> Iterator[str]:
    """List every image: in place of a folder, the images below it, sorted by name. Raises InputError."""
    from ..scoring.inputs import images_below

    for name in given:
        is_folder = name != STANDARD_INPUT and os.path.isdir(name)  # noqa: PTH112 - Path raises for a name too long
        yield from images_below(name) if is_folder else [name]


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

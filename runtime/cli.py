"""`kit classify`."""

import os
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import numpy as np

from .classifier import Classifier, load
from .errors import InputError
from .image import MAX_FILE_BYTES, Pixels
from .skew import findings
from .text import as_json, complain, printable, say
from .watch import LOOK_AT, SkewWarning

STANDARD_INPUT = "-"
SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


@click.command()
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option("--model", type=click.Path(path_type=Path), required=True, help="The artefact, an .onnx or .ort file.")
@click.option("--top-k", type=click.IntRange(1), default=1, show_default=True, help="Labels to list for each image.")
@click.option("--json", "json", is_flag=True, help="Print the predictions as JSON.")
def classify(images: tuple[str, ...], model: Path, top_k: int, json: bool) -> None:
    """Classify images, one line each: the file, then label and probability, best first.

    IMAGE is a file, a folder with all the images below it, or - for one image on standard input. An image that cannot
    be read is named on standard error, the others are answered, and the exit status is 1. Images that look unlike the
    training images are answered, and named there too.
    """
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
    for name in given:
        if name == STANDARD_INPUT or not os.path.isdir(name):  # noqa: PTH112 - Path raises for a name that is too long
            yield name
            continue
        below = sorted(path for path in Path(name).rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if not below:
            raise InputError(f"{name}: expected a folder with images, found none ({', '.join(sorted(SUFFIXES))})")
        yield from map(str, below)


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

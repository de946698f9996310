"""`kit classify`."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from .classifier import Classifier, load
from .errors import InputError


@click.command()
@click.argument("images", metavar="IMAGE...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--model", type=click.Path(path_type=Path), required=True, help="The artefact, an .onnx file.")
@click.option("--top-k", type=click.IntRange(1), default=1, show_default=True, help="Labels to list for each image.")
@click.option("--json", "as_json", is_flag=True, help="Print the predictions as JSON.")
def classify(images: tuple[Path, ...], model: Path, top_k: int, as_json: bool) -> None:
    """Classify image files, one line each: the file, then label and probability, best first.

    An image that cannot be read is named on standard error, the others are answered, and the exit status is 1.
    """
    classifier = load(model)
    answers = [_answer(classifier, path, top_k) for path in images]
    if as_json:
        click.echo(json.dumps(answers, indent=2, ensure_ascii=False))
    width = max(len(answer["image"]) for answer in answers)
    for answer in answers:
        if "error" in answer:
            click.echo(f"kit: {answer['error']}", err=True)
        elif not as_json:
            top = "  ".join(f"{entry['label']} {entry['probability']:.4f}" for entry in answer["top"])
            click.echo(f"{answer['image']:<{width}}  {top}")
    if any("error" in answer for answer in answers):
        sys.exit(1)


def _answer(classifier: Classifier, path: Path, top_k: int) -> dict[str, Any]:
    try:
        prediction = classifier.classify(path, top_k=top_k)
    except InputError as error:
        return {"image": str(path), "error": str(error)}
    return {
        "image": str(path),
        "label": prediction.label,
        "probability": prediction.probability,
        "index": prediction.index,
        "top": [{"label": label, "probability": probability} for label, probability in prediction.top],
    }

"""The published benchmarks: one table a question, ratios to peers first.

    python -m benchmarks.report --data-dir DIR --write docs/benchmarks.md

Every figure is a cost, and what is timed is checked first. `--quick` takes few images and one round.
"""

import tempfile
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import click

from ..studies import damage
from ..tools.measure import (
    FASHION_FILE,
    compared,
    fashion,
    fashion_dir,
    laid_out,
    medians,
    ratios_of_rounds,
)
from ..tools.page import page_option, redraw, show
from ..tools.subject import prepare
from . import classify, export, train

PACKAGES = ("torch", "numpy", "scikit-learn", "onnxruntime", "onnx", "skl2onnx")
TURNS = 8  # of classifying in a round: many and short
QUESTIONS = {
    "train": "Training to the end, with default settings",
    "export": "Exporting to ONNX",
    "classify": "Classifying",
}


def redrawn(context: click.Context, _option: object, page: Path | None) -> None:
    """Draw the bar charts of a page that was written before."""
    if page:
        redraw(page)
        context.exit()


@click.command()
@fashion
@click.option("--quick", is_flag=True, help="One round on 10,000 images, or on digits where there is no Fashion-MNIST.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--iterations", type=click.IntRange(1), default=train.SAGA_ITERATIONS, show_default=True,
              help="Most iterations of saga.")  # fmt: skip
@click.option("--question", "questions", type=click.Choice(list(QUESTIONS)), multiple=True, default=list(QUESTIONS),
              help="Which to answer; may be given several times. All unless given.")  # fmt: skip
@page_option
@click.option("--redraw", type=click.Path(path_type=Path, exists=True, dir_okay=False), callback=redrawn,
              expose_value=False, is_eager=True, help="Draw the bar charts of a page again.")  # fmt: skip
def main(
    data_dir: Path | None, quick: bool, rounds: int, iterations: int, questions: Sequence[str], page: Path | None
) -> None:
    """Compare training, exporting and classifying with peers."""
    if quick and page:
        raise click.UsageError("--quick is not for --write: its figures are too rough to publish")
    folder = None if quick and not (data_dir and (data_dir / FASHION_FILE).exists()) else fashion_dir(data_dir)
    data = "fashion-mnist" if folder else "digits"
    with tempfile.TemporaryDirectory() as place:
        subject = prepare(Path(place), data, folder, few=quick)
        if "export" not in questions:
            export.measure(Path(place), rounds=1)  # whose files are classified with
        for name in filter(questions.__contains__, QUESTIONS):
            tables = answer(name, Path(place), rounds=1 if quick else rounds, iterations=iterations, quick=quick)
            show(QUESTIONS[name], chain([subject], tables), page, name, PACKAGES)


def answer(name: str, folder: Path, *, rounds: int, iterations: int, quick: bool) -> Iterator[str]:
    """Yield the number of rounds and the tables that answer a question. iterations: most of saga."""
    if name == "train":
        yield f"Rounds: {rounds}"
        trained = train.measure(folder, rounds=rounds, iterations=min(iterations, 10) if quick else iterations)
        yield compared(trained, train.RATIOS, train.FIGURES)
    elif name == "export":
        yield f"Rounds: {rounds}"
        exported = export.measure(folder, rounds=rounds)
        yield compared(exported, export.RATIOS, export.FIGURES)
        yield damage.layout(damage.measure(folder, exported))
    else:
        turns = 1 if quick else TURNS * rounds
        yield f"Rounds: {turns}"
        classified = classify.measure(folder, rounds=turns, seconds=0.2 if quick else 0.3)
        shares = ratios_of_rounds(classified, classify.RATIOS)
        yield laid_out(shares, medians(classified), classify.FIGURES)


if __name__ == "__main__":
    main()

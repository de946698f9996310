"""The published benchmarks: one table a question, ratios to peers first.

    python -m benchmarks.report --data-dir DIR --write docs/benchmarks.md

Every figure is a cost, and what is timed is checked first. `--quick` takes few images and one round.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from ..studies import damage
from ..tools.measure import FASHION_FILE, Disturbance, compared, fashion, fashion_dir, machine
from ..tools.page import page_option, put, redraw
from ..tools.subject import prepare
from . import classify, export, train

PACKAGES = ("torch", "numpy", "scikit-learn", "onnxruntime", "onnx", "skl2onnx")
TURNS = 5  # of classifying in a round: many and short, as a virtual core changes between speeds every few seconds
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
@page_option
@click.option("--redraw", type=click.Path(path_type=Path, exists=True, dir_okay=False), callback=redrawn,
              expose_value=False, is_eager=True, help="Draw the bar charts of a page again.")  # fmt: skip
def main(data_dir: Path | None, quick: bool, rounds: int, iterations: int, page: Path | None) -> None:
    """Compare training, exporting and classifying with peers."""
    if quick and page:
        raise click.UsageError("--quick is not for --write: its figures are too rough to publish")
    folder = None if quick and not (data_dir and (data_dir / FASHION_FILE).exists()) else fashion_dir(data_dir)
    data = "fashion-mnist" if folder else "digits"
    rounds, turns = (1, 1) if quick else (rounds, TURNS * rounds)
    disturbance, sections = Disturbance(), {"machine": machine(PACKAGES)}
    click.echo(sections["machine"])
    with tempfile.TemporaryDirectory() as place:
        about = prepare(Path(place), data, folder, few=quick)
        about = f"{about}. Rounds: {rounds}; of classifying {turns}."
        click.echo(f"\n{about}")
        for name, text in measure(Path(place), quick=quick, rounds=rounds, turns=turns, iterations=iterations):
            click.echo(f"\n## {QUESTIONS[name]}\n\n{text}")
            sections[name] = text
    click.echo(f"\n{disturbance}")
    sections["machine"] += f"\n\n{about}\n\n{disturbance}"
    if page:
        for name, text in sections.items():
            put(page, name, text)


def measure(folder: Path, *, quick: bool, rounds: int, turns: int, iterations: int) -> Iterator[tuple[str, str]]:
    """Yield, question by question, its name and its tables. turns: rounds of classifying."""
    trained = train.measure(folder, rounds=rounds, iterations=min(iterations, 10) if quick else iterations)
    yield "train", compared(trained, train.RATIOS, train.FIGURES)
    exported = export.measure(folder, rounds=rounds)
    caught = damage.layout(damage.measure(folder, exported))
    yield "export", f"{compared(exported, export.RATIOS, export.FIGURES)}\n\n{caught}"
    classified = classify.measure(folder, rounds=turns, seconds=0.2 if quick else 0.3)
    yield "classify", compared(classified, classify.RATIOS, classify.FIGURES)


if __name__ == "__main__":
    main()

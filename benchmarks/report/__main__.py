"""The published benchmarks: one table a question, ratios to peers first.

    python -m benchmarks.report --data-dir DIR --write docs/benchmarks.md

Every figure is a cost, and what is timed is checked first. `--quick` takes few images and one round.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click

from ..studies import damage
from ..tools.bars import draw
from ..tools.measure import (
    FASHION_FILE,
    Disturbance,
    Figures,
    Found,
    compared,
    fashion,
    fashion_dir,
    machine,
    put,
    ratios,
)
from ..tools.subject import prepare
from . import classify, export, train

PACKAGES = ("torch", "numpy", "scikit-learn", "onnxruntime", "onnx", "skl2onnx")
MOST_PICTURE = 100_000
TURNS = 5  # of classifying in a round: many and short, as a virtual core's speed may change every few seconds
QUESTIONS = {
    "train": "Training to the end, with default settings",
    "export": "Exporting to ONNX",
    "classify": "Classifying",
}
Part = tuple[str, dict[str, dict[str, float]], str]


def redrawn(context: click.Context, _option: object, page: Path | None) -> None:
    """Draw the bar charts of a page that was written before."""
    if page:
        sections = page.read_text(encoding="utf-8").split("\n## ")
        for name, title in QUESTIONS.items():
            section = next(one for one in sections if one.startswith(f"{title}\n"))
            picture_of(page, name, shares_of(section))
        context.exit()


def shares_of(section: str) -> dict[str, dict[str, float]]:
    """Read the first table of a section: by what is compared and by contender, its cost as a multiple of ours."""
    table = next(part for part in section.split("\n\n") if part.startswith("| contender"))
    head, _, *rows = (line.strip("| ").split(" | ") for line in table.splitlines())
    return {
        what: {name: float(ratios[place].replace(",", "")) for name, *ratios in rows}
        for place, what in enumerate(head[1:])
    }


@click.command()
@fashion
@click.option("--quick", is_flag=True, help="One round on 10,000 images, or on digits where there is no Fashion-MNIST.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--iterations", type=click.IntRange(1), default=train.SAGA_ITERATIONS, show_default=True,
              help="Most iterations of saga.")  # fmt: skip
@click.option("--write", "page", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Page to put the tables into, with bar charts beside it.")  # fmt: skip
@click.option("--redraw", type=click.Path(path_type=Path, exists=True, dir_okay=False), callback=redrawn,
              expose_value=False, is_eager=True, help="Draw the bar charts of a page again.")  # fmt: skip
def main(data_dir: Path | None, quick: bool, rounds: int, iterations: int, page: Path | None) -> None:
    """Compare training, exporting and classifying with peers."""
    if quick and page:
        raise click.UsageError("--quick is not for --write: its figures are too rough to publish")
    folder = None if quick and not (data_dir and (data_dir / FASHION_FILE).exists()) else fashion_dir(data_dir)
    data = "fashion-mnist" if folder else "digits"
    rounds, turns = (1, 1) if quick else (rounds, TURNS * rounds)
    disturbance = Disturbance()
    texts = [machine(PACKAGES)]
    click.echo(texts[0])
    with tempfile.TemporaryDirectory() as place:
        about = prepare(Path(place), data, folder, few=quick)
        texts.append(f"{about}. Rounds: {rounds}; of classifying {turns}.")
        click.echo(f"\n{texts[1]}")
        for name, shares, text in measure(Path(place), quick=quick, rounds=rounds, turns=turns, iterations=iterations):
            title = f"## {QUESTIONS[name]}"
            click.echo(f"\n{title}\n\n{text}")
            picture = picture_of(page, name, shares) if page else ""
            texts.append(f"{title}\n\n{picture}{text}")
    texts.append(str(disturbance))
    click.echo(f"\n{disturbance}")
    if page:
        put(page, "\n\n".join(texts))


def measure(folder: Path, *, quick: bool, rounds: int, turns: int, iterations: int) -> Iterator[Part]:
    """Yield, question by question, its name, the ratios, and the tables. turns: rounds of classifying."""
    trained = train.measure(folder, rounds=rounds, iterations=min(iterations, 10) if quick else iterations)
    yield part("train", trained, train.RATIOS, train.FIGURES)
    exported = export.measure(folder, rounds=rounds)
    caught = damage.layout(damage.measure(folder, exported))
    yield part("export", exported, export.RATIOS, export.FIGURES, caught)
    classified = classify.measure(folder, rounds=turns, seconds=0.2 if quick else 0.3)
    yield part("classify", classified, classify.RATIOS, classify.FIGURES)


def part(
    name: str, found: Found, keys: Mapping[str, str], figures: Mapping[str, Callable[[Figures], object]], *more: str
) -> Part:
    """Lay out what was found, and more; keys, figures: as for `compared`."""
    return name, ratios(found, keys), "\n\n".join([compared(found, keys, figures), *more])


def picture_of(page: Path, name: str, shares: dict[str, dict[str, float]]) -> str:
    """Draw beside the page; return the line that shows it."""
    path = page.with_name(f"{page.stem}-{name}.svg")
    draw(shares, path)
    size = path.stat().st_size
    if size > MOST_PICTURE:
        raise click.ClickException(f"{path}: expected at most {MOST_PICTURE:,} bytes, found {size:,}: draw less")
    return f"![{QUESTIONS[name]}: multiples of ours]({path.name})\n\n"


if __name__ == "__main__":
    main()

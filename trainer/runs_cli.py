"""`kit runs` and `kit compare`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from runtime.tables import table
from runtime.text import as_json, printable, say

from .checkpoint import RUNS

SHOWN = 10  # classes, of those that differ most
BARS, WIDTH = "▁▂▃▄▅▆▇█", 40  # of a curve in the terminal


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=RUNS)
@click.option("--json", "as_document", is_flag=True, help="Print the runs as JSON.")
def runs(folder: Path, as_document: bool) -> None:
    """List the runs below FOLDER, by default runs/, the newest first, with their figures."""
    from .report.folders import all_runs

    found = [_run(run.folder, run.description, run.finished) for run in all_runs(folder)]
    if as_document:
        say(as_json(found))
    elif not found:
        say(f"no runs below {printable(folder)}: `kit train` makes one")
    else:
        head = ("run", "data", "features", "training images", "epochs", "test accuracy", "test loss", "")
        say("\n".join(table([head, *map(_row, found)])))


@click.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--json", "as_document", is_flag=True, help="Print the comparison as JSON.")
@click.option(
    "--plot", type=click.Path(path_type=Path, dir_okay=False), help="PNG file to draw both learning curves to."
)
def compare(first: Path, second: Path, as_document: bool, plot: Path | None) -> None:
    """Compare the runs FIRST and SECOND on the same test images.

    Prints the figures of both, the difference of their accuracies with a 95 % confidence interval, paired by image,
    their learning curves, and the classes that differ most.
    """
    from .report.comparing import compare as find

    found = find(first, second)
    if plot:
        from .report.plots import write_comparison

        write_comparison(plot, found["history"])
    say(as_json(found) if as_document else "\n".join(_compared(found)))


def _run(folder: Path, description: dict[str, Any] | None, finished: bool) -> dict[str, Any]:
    """Describe a run by what its checkpoint says; anything may be missing from a damaged one."""
    provenance = (description or {}).get("provenance") or {}
    figures, data = provenance.get("figures") or {}, provenance.get("data") or {}
    settings, features = provenance.get("settings") or {}, provenance.get("features") or {}
    return {
        "run": str(folder),
        "state": "damaged" if description is None else "finished" if finished else "unfinished",
        "data": data.get("name"),
        "features": features.get("name", "pixels"),
        "train_images": data.get("train_images"),
        "epochs": settings.get("epochs"),
        "test_accuracy": figures.get("test_accuracy"),
        "test_loss": figures.get("test_loss"),
    }


def _row(run: dict[str, Any]) -> tuple[str, ...]:
    def shown(name: str, form: str) -> str:
        return "–" if run[name] is None else f"{run[name]:{form}}"

    state = "" if run["state"] == "finished" else run["state"]
    names = (printable(str(run[name] or "–")) for name in ("run", "data", "features"))
    numbers = (("train_images", ","), ("epochs", ""), ("test_accuracy", ".4f"), ("test_loss", ".4f"))
    return *names, *(shown(name, form) for name, form in numbers), state


def _compared(found: dict[str, Any]) -> Iterator[str]:
    head = ("run", "test accuracy", "test loss", "training accuracy", "calibration error", "features", "seconds")
    rows = [
        (
            printable(row["run"]),
            *(f"{row[name]:.4f}" for name in ("test_accuracy", "test_loss", "train_accuracy", "calibration_error")),
            printable(row["features"]),
            f"{row['seconds']:.1f}",
        )
        for row in found["figures"]
    ]
    yield from table([head, *rows])
    gain = found["difference"]
    says = "a difference is shown" if gain["shown"] else "no difference is shown"
    yield (
        f"\nthe second is right for {gain['difference']:+.2%} of the {found['images']:,} test images, 95 % interval "
        f"{gain['lowest']:+.2%} to {gain['highest']:+.2%}: {says}"
    )
    yield f"{gain['only_second']:,} images are right in the second run alone, {gain['only_first']:,} in the first\n"
    yield from _curves(found["history"])
    classes = [
        (
            printable(row["label"]),
            f"{row['images']:,}",
            f"{row['first']:.4f}",
            f"{row['second']:.4f}",
            f"{row['difference']:+.4f}",
            "shown" if row["shown"] else "",
        )
        for row in found["classes"][:SHOWN]
    ]
    yield from table([("label", "test images", "recall, first", "second", "difference", ""), *classes])


def _curves(history: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Draw the loss and accuracy of each run on the test images by epoch, at one scale."""
    runs = list(dict.fromkeys(row["run"] for row in history))
    for name in ("test_loss", "test_accuracy"):
        curves = [[row[name] for row in history if row["run"] == run and row[name] is not None] for run in runs]
        every = [value for curve in curves for value in curve]
        if not every:
            continue
        rows = [
            (printable(run), _bars(curve, min(every), max(every)), f"{curve[0]:.4f} → {curve[-1]:.4f}",
             f"{len(curve):,} epochs")
            for run, curve in zip(runs, curves, strict=True) if curve
        ]  # fmt: skip
        title = f"{name.replace('_', ' ')} by epoch, before calibration"
        yield from table([(title, "", "first → last", ""), *rows])
        yield ""


def _bars(curve: Sequence[float], lowest: float, highest: float) -> str:
    """Draw a curve of at most WIDTH characters; a longer one by every so many epochs, and the last."""
    step = -(-len(curve) // WIDTH)
    shown = [*curve[:-1:step], curve[-1]]
    scale = (len(BARS) - 1) / (highest - lowest or 1.0)
    return "".join(BARS[round((value - lowest) * scale)] for value in shown)

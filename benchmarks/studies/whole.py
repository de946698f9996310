"""The whole command, from the start of the process to its end, against the textbook's script; and its parts.

Nothing heavy is imported at the top, since the imports are a part of what is timed.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from ..tools.measure import check, comparison, fresh, interleaved, process, table

OURS = "kit train --no-report"
PLOTS = "kit train, with plots"
TEXTBOOK = "the textbook's script, 10 epochs"


def compare(data_dir: Path, *, rounds: int, data: str = "fashion-mnist", floor: float = 0.84) -> Iterator[str]:
    """Yield tables.

    floor: test accuracy below which our model has not learned.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours: dict[str, Callable[[], object]] = {
            OURS: lambda: check_report(command(data, data_dir, folder / "plain", "--no-report"), floor),
            PLOTS: lambda: check_report(command(data, data_dir, folder / "plots"), floor),
        }
        interleaved(ours, 1, warm_up=False)  # compiles what is imported, and lets matplotlib look for its fonts
        seconds = interleaved(ours | {TEXTBOOK: lambda: check_textbook(data_dir)}, rounds, warm_up=False)
    yield comparison({name: seconds[name] for name in (OURS, TEXTBOOK)}, OURS, {TEXTBOOK: 1 / 5})
    yield comparison({name: seconds[name] for name in (PLOTS, TEXTBOOK)}, PLOTS, {TEXTBOOK: 1 / 4})
    yield where(data, data_dir, rounds)


def command(data: str, data_dir: Path, out: Path, *options: str) -> Path:
    """Run the command; return the folder of its run."""
    process("-m", "kit", "train", "--data", data, "--data-dir", data_dir.resolve(), "--out", out, *options)
    return out


def check_report(run: Path, floor: float) -> None:
    """Check the run's test accuracy."""
    share = json.loads((run / "report.json").read_text())["figures"]["test_accuracy"]
    check(share >= floor, f"a test accuracy of at least {floor}", share)


def check_textbook(data_dir: Path) -> None:
    """Run the textbook's script and check its test accuracy."""
    share = float(process("-m", "benchmarks.peers.textbook", data_dir.resolve()))
    check(share >= 0.8, "a test accuracy of at least 0.8", share)


def where(data: str, data_dir: Path, rounds: int) -> str:
    """Lay out the times of the command's parts: medians over fresh processes."""
    runs = []
    for _ in range(rounds):
        started = time.perf_counter()
        parts = fresh(instrumented, data=data, data_dir=str(data_dir.resolve()))
        wall = time.perf_counter() - started
        runs.append(parts | {"start and end of the process": wall - sum(parts.values())})
    middles = {part: median(run[part] for run in runs) for part in runs[0]}
    total = sum(middles.values())
    rows = [(part, f"{seconds:.3f}", f"{seconds / total:.0%}") for part, seconds in middles.items()]
    return table(("part of kit train, with plots", "median, s", "share"), rows)


def instrumented(data: str, data_dir: str) -> dict[str, float]:
    """Train as the command does, and time the parts; for a fresh process."""
    parts: dict[str, float] = {}
    clock = Clock(parts)
    import torch  # noqa: F401

    clock.note("import torch")
    import trainer.cli
    import trainer.options
    from trainer.data.load import load_data
    from trainer.fitting import fit
    from trainer.report.run import Run

    clock.note("import trainer")
    dataset = load_data(data, data_dir=data_dir)
    clock.note("load the data")
    saves: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        run = Run(Path(name), dataset, plots=False)
        clock.note("")

        def save(fitted: Any) -> None:
            started = time.perf_counter()
            run.save(fitted)
            saves.append(time.perf_counter() - started)

        fitted = fit(dataset, trainer.options.DEFAULTS, on_checkpoint=save)
        clock.note("fit")
        parts["fit"] -= sum(saves)
        parts[f"write checkpoint and report, {len(saves)} times"] = sum(saves)
        clock.note("")
        import trainer.report.plots

        clock.note("import matplotlib")
        run = Run(Path(name), dataset, plots=True)
        run.save(fitted)
        run.draw()
        clock.note("draw the plots")
        parts["draw the plots"] -= saves[-1]
    return parts


class Clock:
    """Notes the seconds since the last note; those without a name are left out."""

    def __init__(self, parts: dict[str, float]) -> None:
        self._parts, self._last = parts, time.perf_counter()

    def note(self, part: str) -> None:
        """Note a part."""
        now = time.perf_counter()
        if part:
            self._parts[part] = now - self._last
        self._last = now

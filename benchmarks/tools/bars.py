"""Bar charts of ratios on a logarithmic scale, legible in grey; the same figures give the same bytes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .measure import multiple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Style = Mapping[str, str]

ACROSS = 2
WE_WIN: Style = {"facecolor": "0.75", "edgecolor": "0.2"}
WE_LOSE: Style = {"facecolor": "1.0", "edgecolor": "0.2", "hatch": "////"}


@contextmanager
def drawing(path: Path, *, size: tuple[float, float]) -> Iterator["Figure"]:
    """Give a figure to draw on, `size` inches wide and high, and write it to an SVG file at the end of the block."""
    import matplotlib
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "svg.hashsalt": path.stem,
        "svg.fonttype": "none",
        "font.size": 9,
        "hatch.linewidth": 0.5,
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=size, layout="constrained")
        yield figure
        figure.savefig(path, metadata={"Date": None})


def draw(panels: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Draw a panel for each comparison. panels: by what is compared and contender, its cost as a multiple of ours.

    The first contender is ours, which is the line at 1. A bar to the left of it is hatched: there ours costs more.
    """
    down = ceil(len(panels) / ACROSS)
    peers = max(map(len, panels.values())) - 1
    with drawing(path, size=(10, down * (0.75 + 0.28 * peers))) as figure:
        grid = figure.subplots(down, ACROSS, squeeze=False, sharex=True, sharey=True)
        every = [ratio for ratios in panels.values() for ratio in ratios.values()]  # ours among them, which is 1
        room = max(max(every) / min(every), 2) ** 0.2  # for the numbers
        for axes in grid.flat[len(panels) :]:
            axes.axis("off")
        for axes, (title, ratios) in zip(grid.flat, panels.items(), strict=False):
            one_panel(axes, title, dict(list(ratios.items())[1:]))
            axes.set_xlim(min(every) / (room if min(every) < 1 else room**0.2), max(every) * room)


def one_panel(axes: Any, title: str, peers: Mapping[str, float]) -> None:
    """Draw the bars of the peers, each with its number."""
    axes.set_xscale("log")
    for name, ratio in peers.items():
        style = WE_WIN if ratio >= 1 else WE_LOSE
        axes.barh(name, ratio - 1, left=1, **style)
        axes.annotate(
            f"{multiple(ratio)}×", (ratio, name), xytext=(3 if ratio >= 1 else -3, 0), textcoords="offset points",
            ha="left" if ratio >= 1 else "right", va="center",
        )  # fmt: skip
    axes.axvline(1, color="black", linewidth=1)
    axes.set_title(f"{title} ÷ ours")
    axes.tick_params(which="both", bottom=False, labelbottom=False, left=False)
    axes.spines[["top", "right", "bottom", "left"]].set_visible(False)
    if not axes.yaxis_inverted():
        axes.invert_yaxis()

"""Bar charts of ratios on a logarithmic scale, in the kit's style; the same figures give the same bytes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .measure import multiple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Style = Mapping[str, str]

SCALE = "cost as a multiple of ours, on a logarithmic scale"
WE_WIN: Style = {"facecolor": "0.75", "edgecolor": "0.2"}
WE_LOSE: Style = {"facecolor": "1.0", "edgecolor": "0.2", "hatch": "////"}


@contextmanager
def drawing(path: Path, *, height: float) -> Iterator["Figure"]:
    """Give a figure to draw on, `height` inches high, and write it to an SVG file at the end of the block.

    Its background is white, so that pages with a dark one show a card.
    """
    import matplotlib

    from trainer.report.figures import STYLE, new_figure

    settings: dict[Any, Any] = {"svg.hashsalt": path.stem, "svg.fonttype": "none"}
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE | settings)
        figure = new_figure(height)
        yield figure
        figure.savefig(path, metadata={"Date": None})


def draw(panels: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Draw a panel for each comparison. panels: by what is compared and contender, its cost as a multiple of ours.

    The first contender is ours, which is the line at 1. A bar to the left of it is hatched: there ours costs more.
    """
    peers = max(map(len, panels.values())) - 1
    with drawing(path, height=0.6 + len(panels) * (0.3 + 0.2 * peers)) as figure:
        every = [ratio for ratios in panels.values() for ratio in ratios.values()]  # ours among them, which is 1
        room = max(max(every) / min(every), 2) ** 0.3  # for the numbers
        column = figure.subplots(len(panels), squeeze=False, sharex=True)[:, 0]
        for axes, (title, ratios) in zip(column, panels.items(), strict=True):
            one_panel(axes, title, dict(list(ratios.items())[1:]))
            axes.set_xlim(min(every) / (room if min(every) < 1 else room**0.2), max(every) * room)
        figure.supxlabel(SCALE, fontsize="medium")
        column[-1].tick_params(axis="x", which="both", bottom=True, labelbottom=True)


def one_panel(axes: Any, title: str, peers: Mapping[str, float]) -> None:
    """Draw the bars of the peers, each with its number."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}×")
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    for name, ratio in peers.items():
        style = WE_WIN if ratio >= 1 else WE_LOSE
        axes.barh(name, ratio - 1, left=1, **style)
        axes.annotate(
            f"{multiple(ratio)}×", (ratio, name), xytext=(3 if ratio >= 1 else -3, 0), textcoords="offset points",
            ha="left" if ratio >= 1 else "right", va="center",
        )  # fmt: skip
    axes.axvline(1, color="black", linewidth=1)
    axes.set_title(f"{title} ÷ ours", loc="left")
    axes.tick_params(axis="x", which="both", bottom=False, labelbottom=False)
    axes.tick_params(axis="y", left=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.invert_yaxis()

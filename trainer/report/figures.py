"""The house style of every picture: width, fonts, and lines that differ in more than their colour.

Legible on a telephone, and to the colour-blind: the colours are Okabe and Ito's, and purple.
"""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

WIDTH = 6.0  # inches
DPI = 200
FONT_SIZE = 9  # points
MARKED = 15  # points of a line that carry its marker
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#aa4499")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (6, 2)))
GRID = "#dddddd"
STYLE: dict[Any, Any] = {
    "font.size": FONT_SIZE,
    "axes.titlesize": FONT_SIZE,
    "axes.grid.which": "major",
    "axes.prop_cycle": cycler(color=COLORS, marker=MARKERS, linestyle=DASHES),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.titlesize": 11,
    "figure.titleweight": "bold",
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "grid.color": GRID,
    "hatch.linewidth": 0.5,
    "lines.markersize": 4,
    "text.parse_math": False,
}


def new_figure(height: float) -> Figure:
    """Make an empty figure of this height, in inches."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def look(place: int) -> dict[str, Any]:
    """Colour, marker and dashes of a line, whichever others are there. place: from 0."""
    return {"color": COLORS[place], "marker": MARKERS[place], "linestyle": DASHES[place]}


def spaced(points: int) -> int:
    """Every which point of a line carries its marker."""
    return -(-points // MARKED)


def finish(axes: Axes) -> None:
    """Add a grid and, where lines have names, a legend that is long enough to show their dashes."""
    axes.grid(visible=True)
    if axes.get_legend_handles_labels()[0] and not axes.get_legend():
        axes.legend(handlelength=3)

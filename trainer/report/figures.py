"""What the plots of a run have in common: width, resolution, and figures that no window shows."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

WIDTH = 8.0  # inches
DPI = 150


def new_figure(height: float) -> Figure:
    """Make an empty figure of this height, in inches."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure

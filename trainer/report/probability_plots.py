"""The plot of probabilities: how far they hold, and how the error falls where fewer answers are accepted."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from runtime.decision_metrics import coverage_curve
from runtime.metrics import BINS

from .figures import finish, look, new_figure

AFTER, BEFORE, ACCEPTED = map(look, range(3))


def probabilities_plot(
    targets: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    before: NDArray[np.float32] | None = None,
    accepted: Mapping[str, Any] | None = None,
) -> Figure:
    """Draw a reliability diagram, and the error of the accepted answers against their share.

    targets: int64 [N].
    probabilities: float32 [N, K]; before: those before calibration, where it changed them.
    accepted: coverage and error of the accepted answers, as `decision_metrics` gives them; None without thresholds.
    """
    figure = new_figure(3.4)
    figure.suptitle("Probabilities on the test images")
    left, right = figure.subplots(1, 2)
    _reliability(left, targets, probabilities, before)
    _curve(right, targets, probabilities, accepted)
    for axes in (left, right):
        finish(axes)
    return figure


def _reliability(
    axes: Axes, targets: NDArray[np.int64], probabilities: NDArray[np.float32], before: NDArray[np.float32] | None
) -> None:
    axes.plot([0, 1], [0, 1], color="#999999", linestyle="-", marker="", linewidth=1)
    shown = [(probabilities, AFTER, "calibrated" if before is not None else "probability")]
    if before is not None:
        shown.insert(0, (before, BEFORE, "before calibration"))
    for found, style, name in shown:
        confidence, accuracy, counts = bins_of(targets, found)
        axes.plot(confidence, accuracy, **style, linewidth=1, label=name)
        sizes = 8 + 120 * counts / counts.max()
        axes.scatter(confidence, accuracy, s=sizes, color=style["color"], marker=style["marker"], alpha=0.7)
    axes.set(title="how often answers are right", xlabel="probability of the answer", ylabel="share that is right")
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    axes.legend(title="area: how many images", loc="lower right", alignment="left")


def bins_of(
    targets: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean probability, accuracy and number of answers in each of 15 bins that has some: three [B]."""
    confidence, right = probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == targets
    places = np.ceil(confidence * BINS).clip(1, BINS).astype(np.int64) - 1
    counts = np.bincount(places, minlength=BINS)
    sums = [np.bincount(places, weights=values, minlength=BINS) for values in (confidence, right)]
    some = counts > 0
    return sums[0][some] / counts[some], sums[1][some] / counts[some], counts[some]


def _curve(
    axes: Axes, targets: NDArray[np.int64], probabilities: NDArray[np.float32], accepted: Mapping[str, Any] | None
) -> None:
    curve = np.array(coverage_curve(probabilities.argmax(axis=1) == targets, probabilities.max(axis=1)))
    axes.plot(100 * curve[:, 0], 100 * curve[:, 1], **AFTER | {"marker": ""})
    if accepted and accepted["error"] is not None:
        place = [100 * accepted["coverage"]], [100 * accepted["error"]]
        axes.scatter(*place, color=ACCEPTED["color"], marker=ACCEPTED["marker"], zorder=3, label="accepted answers")
        axes.legend(loc="upper left")
    axes.set(title="what abstaining gains", xlabel="% of the images answered", ylabel="% of these answers wrong")
    axes.set_xlim(0, 101)
    axes.set_ylim(bottom=0)

"""The plots of a run: learning curves, confusion matrix, weights, and the most confident mistakes.

Drawn with matplotlib's objects and the Agg backend, never pyplot: the caller's backend and figures stay as they are.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from runtime.files import replacing
from runtime.text import note

from ..data.names import Names, numbered
from ..errors import TrainerError
from .figures import DPI, FONT_SIZE, STYLE, WIDTH, finish, look, new_figure, spaced
from .fonts import families_for
from .model_card import plain_line
from .names import shorten
from .probability_plots import probabilities_plot

if TYPE_CHECKING:
    from ..data.mapped import Images

CHARACTER = 0.6  # mean width of a character, in font sizes
TICK_ROOM = 98  # points for a class name beside the confusion matrix
CELL_NUMBERS = 20
TICKS = 50
CELLS = 250  # of a row, as smaller ones than 3 pixels would fade away
WEIGHTS = {1: 25, 3: 14}  # labels, by channels
SHOWN_SHARE = 0.998  # of the weights; the few beyond would leave the others pale
MISTAKES = 16
MISTAKES_ACROSS = 4
SPLITS = (("train", "training", 0), ("val", "validation", 2), ("test", "test", 1))
CHANNELS = ("red", "green", "blue")
History = Sequence[Mapping[str, float | None]]


def write_plots(
    folder: Path,
    *,
    history: History,
    labels: Sequence[str],
    weights: NDArray[np.float32] | None,
    shape: tuple[int, int, int],
    confusion: NDArray[np.int64],
    images: "Images | NDArray[np.uint8]",
    targets: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    before: NDArray[np.float32] | None = None,
    accepted: Mapping[str, Any] | None = None,
    named: Names | None = None,
    say: Callable[[str], None] = note,
) -> list[Path]:
    """Write curves.png, confusion.png, probabilities.png, mistakes.png and, of pixels, weights.png; return their paths.

    Of the user's settings of matplotlib the font family counts alone: equal input gives equal bytes with the same
    matplotlib and fonts. Raises TrainerError where the folder cannot be written to.

    history: rows with epoch, and train_loss, train_accuracy and so on for train, val and test; None is left out.
    labels: K class names.
    weights: [D, K]; None where they are not of pixels, and no image.
    shape: (H, W, C), C 1 or 3, with D = H·W·C.
    confusion: counts, [K, K], rows the true class.
    images: test images, [N, H, W, C].
    targets: [N].
    probabilities: the model's, [N, K]; before: those before calibration, if it changed them.
    accepted: coverage and error of the accepted answers, if there is a threshold.
    named: names of the images; by default their positions.
    say: prints a note about characters that no font has.
    """
    families = families_for("".join(map(plain_line, labels)), say)
    with _drawing(families):
        figures = {
            "curves.png": curves(history),
            "confusion.png": confusions(labels, confusion),
            "probabilities.png": probabilities_plot(targets, probabilities, before, accepted),
            **({} if weights is None else {"weights.png": weight_images(labels, weights, shape)}),
            "mistakes.png": mistakes(labels, images, targets, probabilities, named),
        }
        for name, figure in figures.items():
            with replacing(folder / name, TrainerError) as part:
                figure.savefig(part, format="png", dpi=DPI, metadata={"Software": None})
    return [folder / name for name in figures]


def curves(history: History) -> Figure:
    """Draw loss and accuracy by epoch, a line for each split; `history` is as for `write_plots`."""
    figure = new_figure(3.4)
    figure.suptitle("Loss and accuracy by epoch")
    epochs = np.array([row["epoch"] for row in history], np.float64)
    every = spaced(len(epochs))
    for axes, quantity, unit in zip(figure.subplots(1, 2), ("loss", "accuracy"), (" in nats", ""), strict=True):
        for split, name, place in SPLITS:
            values = [math.nan if (value := row.get(f"{split}_{quantity}")) is None else value for row in history]
            if not all(map(math.isnan, values)):
                axes.plot(epochs, values, **look(place), markevery=every, label=f"{name} {values[-1]:.4f}")
        axes.set(title=f"{quantity}{unit}", xlabel="epoch")
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(title=f"at epoch {epochs[-1]:g}", loc="best", alignment="left", handlelength=3)
        finish(axes)
    return figure


def write_comparison(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the learning curves of several runs on the test images to a PNG file. Raises TrainerError.

    rows: with run, epoch, test_loss and test_accuracy.
    """
    runs = list(dict.fromkeys(row["run"] for row in rows))
    with _drawing(families_for("".join(map(plain_line, runs)), note)):
        figure = new_figure(3.4)
        figure.suptitle("Loss and accuracy on the test images by epoch")
        for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
            for run, name in zip(runs, shorten(runs, _characters(WIDTH * 20)), strict=True):
                shown = [(row["epoch"], row[f"test_{quantity}"]) for row in rows if row["run"] == run]
                axes.plot(*zip(*shown, strict=True), markevery=spaced(len(shown)), label=name)
            axes.set(title=quantity, xlabel="epoch")
            finish(axes)
        with replacing(path, TrainerError) as part:
            figure.savefig(part, format="png", dpi=DPI, metadata={"Software": None})


@contextmanager
def _drawing(families: Sequence[str]) -> Iterator[None]:
    """Draw with the kit's settings, whatever the user's are, and with these fonts."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        # These were noted before. Older releases add the second one.
        warnings.filterwarnings("ignore", r"Glyph .* missing from|Matplotlib currently does not support", UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE | {"font.family": families})
        yield


def confusions(labels: Sequence[str], matrix: NDArray[np.int64]) -> Figure:
    """Draw the confusion matrix, int64 [K, K], rows the true label; shade by row, so that rare labels show too.

    Of more labels than CELLS, a cell stands for several: it shows the largest share.
    """
    figure = new_figure(5.4)
    axes = figure.subplots()
    shares = matrix / matrix.sum(axis=1, keepdims=True).clip(1)  # [K, K]
    # The square root lifts the few per cent of a confusion off the white of none at all.
    step = math.ceil(len(labels) / CELLS)
    extent = (-0.5, len(labels) - 0.5, len(labels) - 0.5, -0.5)
    shading = axes.imshow(_largest(shares, step), cmap="Blues", norm=PowerNorm(0.5, 0, 1), extent=extent)
    few = len(labels) <= CELL_NUMBERS
    size = FONT_SIZE if few else 6
    ticks = range(0, len(labels), math.ceil(len(labels) / TICKS))
    names = shorten(labels, _characters(TICK_ROOM, size))[:: ticks.step]
    axes.set_xticks(ticks, names, fontsize=size, ha="right", va="center", rotation_mode="anchor")
    axes.tick_params(axis="x", rotation=45 if few else 90)
    axes.set_yticks(ticks, names, fontsize=size)
    axes.set(xlabel="predicted label", ylabel="true label")
    if few:
        _write_counts(axes, matrix, shares)
    bar = figure.colorbar(shading, shrink=0.6, ticks=[0, 0.01, 0.05, 0.1, 0.25, 0.5, 1], format="{x:.0%}")
    bar.set_label("share of the true label's images" + f", the largest of {step} × {step} labels" * (step > 1))
    figure.suptitle(f"{matrix.trace():,} of {matrix.sum():,} test images got their true label")
    return figure


def _largest(cells: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    """The largest of each `step` × `step` cells."""
    starts = np.arange(0, len(cells), step)
    return np.maximum.reduceat(np.maximum.reduceat(cells, starts, axis=0), starts, axis=1)


def _write_counts(axes: Axes, matrix: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    room = 240 / len(matrix)  # points a cell, where the longest labels leave the least
    size = min(9.0, room / (0.7 * len(str(matrix.max()))))  # a digit is 0.64 of the size wide
    for (row, column), count in np.ndenumerate(matrix):
        color = "#bbbbbb" if count == 0 else "white" if shares[row, column] > 0.3 else "black"
        text = axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=size)
        text.set_in_layout(False)  # it lies inside its cell, so that measuring hundreds is lost time


def weight_images(labels: Sequence[str], weights: NDArray[np.float32], shape: tuple[int, int, int]) -> Figure:
    """Draw each class's weights, float32 [D, K], as an image; a colour model's as one for each channel."""
    height, width, channels = shape
    shown = weights.T[: WEIGHTS[channels]].reshape(-1, height, width, channels)
    limit = float(np.quantile(np.abs(shown), SHOWN_SHARE)) or 1.0
    most, least, text = (5, 3, 0.25) if channels == 1 else (2, 1, 0.3)
    columns = min(range(most, least - 1, -1), key=lambda count: -len(shown) % count)
    columns = columns if len(shown) > most else len(shown)
    which = "each label" if len(shown) == len(labels) else f"each of the first {len(shown)} of {len(labels):,} labels"
    title = f"Weights: what speaks for {which}"
    figure, cells = _grid(len(shown), columns, height / (channels * width), title, text=text, foot=0.7, least=least)
    names = shorten(labels, _characters(72 * WIDTH / max(columns, least)))
    for axes, name, image in zip(cells, names, shown, strict=False):
        _fit(axes.set_title(name), columns)
        drawn = axes.imshow(_side_by_side(image), cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes.spines[:].set_visible(channels == 1)
    for axes in cells[-columns:] if channels > 1 else ():
        axes.set_xticks(np.arange(channels) * (width + _gap(width)) + (width - 1) / 2, CHANNELS)
        axes.tick_params(length=0)
    bar = figure.colorbar(drawn, ax=cells, location="bottom", shrink=0.6, aspect=40, extend="both")
    brighter = "a brighter pixel" if channels == 1 else "more of the channel's light"
    bar.set_label(f"{brighter} speaks against the label (blue) or for it (red)")
    return figure


def _gap(width: int) -> int:
    """Columns between the channels of an image this wide."""
    return max(width // 16, 1)


def _side_by_side(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put the channels of [H, W, C] next to one another, with a gap of NaN between two."""
    height, width, _ = image.shape
    apart = np.pad(image, ((0, 0), (0, _gap(width)), (0, 0)), constant_values=np.nan)
    return apart.transpose(0, 2, 1).reshape(height, -1)[:, : -_gap(width)]


def mistakes(
    labels: Sequence[str],
    images: "Images | NDArray[np.uint8]",
    targets: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    named: Names | None = None,
) -> Figure:
    """Draw the wrong answers with the largest probabilities, as many as MISTAKES; arguments as for `write_plots`."""
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != targets)
    if not len(wrong):
        figure = new_figure(2.4)
        figure.suptitle(f"No mistakes: all {len(targets):,} test images got their true label", y=0.5, va="center")
        return figure
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES]
    title = f"The most confident of {len(wrong):,} mistakes in {len(targets):,} test images"
    names = shorten(labels, _characters(72 * WIDTH / MISTAKES_ACROSS))
    known = named or numbered(len(targets))
    paths = shorten([known[int(index)] for index in worst], _characters(72 * WIDTH / MISTAKES_ACROSS))
    figure, cells = _grid(len(worst), MISTAKES_ACROSS, images.shape[1] / images.shape[2], title, text=0.9)
    for axes, index, path in zip(cells, worst, paths, strict=True):
        pixels = np.asarray(images[int(index)])
        axes.imshow(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels, cmap="gray", vmin=0, vmax=255)
        answer = f"predicted {100 * confidence[index]:.1f} %\n{names[predicted[index]]}"
        _fit(axes.set_title(answer, color="#aa2233"), MISTAKES_ACROSS)
        _fit(axes.set_xlabel(f"true\n{names[targets[index]]}\n{path}"), MISTAKES_ACROSS)
    return figure


def _grid(
    count: int, columns: int, ratio: float, title: str, *, text: float, foot: float = 0, least: int = 3
) -> tuple[Figure, list[Axes]]:
    """Lay out cells for `count` images of height / width `ratio`, with inches for the `text` of each and a `foot`.

    least: columns as narrow as if there were as many.
    """
    rows = math.ceil(count / columns)
    cell = WIDTH / max(columns, least) * min(max(ratio, 0.2), 2)
    figure = new_figure(rows * (cell + text) + foot + 0.3)
    cells = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in cells:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(True)
    for axes in cells[count:]:
        axes.remove()
    figure.suptitle(title)
    return figure, cells[:count]


def _characters(points: float, size: float = FONT_SIZE) -> int:
    """Count the characters of mean width that fit."""
    return int(points / (CHARACTER * size))


def _fit(text: Text, columns: int) -> None:
    """Shrink a text that is wider than its column."""
    room = 0.95 * WIDTH * DPI / columns
    text.set_fontsize(float(text.get_fontsize()) * min(1, room / text.get_window_extent().width))

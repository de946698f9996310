"""The plots of a run: that they are there, the same each time, and show what they should."""

import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import confusion_matrix

from tests.interpreter import run_python
from tests.trainer.report.fonts import own_fonts
from trainer import TrainerError
from trainer.report import plots
from trainer.report.plots import confusions, curves, mistakes, weight_images, write_plots

FILES = ["confusion.png", "curves.png", "mistakes.png", "probabilities.png", "weights.png"]
ODD_LABELS = [
    "$a_b$ costs $2",
    "\\frac{1}{0} $\\nonsense$",
    "two\nlines\tand a tab",
    "a label that goes on for longer than any picture has room for",
    "W" * 40,
    "長い名前の日本語のラベルです",
    "عربى",
    "😀",
    "\udcff\x00",
    "  ",
]
DRAW = """
import matplotlib, numpy as np
from pathlib import Path
from trainer.report.plots import write_plots
write_plots(Path(sys.argv[1]), history=[{"epoch": 1, "test_loss": 1.0, "test_accuracy": 0.5}],
    labels=["no", "yes"], weights=np.ones((4, 2), np.float32), shape=(2, 2, 1), confusion=np.array([[1, 0], [1, 0]]),
    images=np.zeros((2, 2, 2, 1), np.uint8), targets=np.array([0, 1]),
    probabilities=np.full((2, 2), 0.5, np.float32))
assert "matplotlib.pyplot" not in sys.modules and "torch" not in sys.modules
print(matplotlib.get_backend())
"""


def a_run(
    labels: list[str],
    shape: tuple[int, int, int],
    *,
    images: int = 60,
    epochs: int = 3,
    validation: bool = False,
    right: bool = False,
) -> dict[str, Any]:
    """Random arguments for `write_plots`; `right` makes every answer so."""
    generator = np.random.default_rng(0)
    targets = generator.integers(0, len(labels), images)
    scores = generator.random((images, len(labels)))
    scores[np.arange(images), targets] += 9 if right else 0.3
    probabilities = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
    names = [f"{split}_{figure}" for split in ("train", "val", "test") for figure in ("loss", "accuracy")]
    return {
        "history": [
            {"epoch": epoch, **{name: 1 / epoch if validation or "val" not in name else None for name in names}}
            for epoch in range(1, epochs + 1)
        ],
        "labels": labels,
        "weights": generator.normal(size=(np.prod(shape), len(labels))).astype(np.float32),
        "shape": shape,
        "confusion": confusion_matrix(targets, probabilities.argmax(axis=1), labels=range(len(labels))),
        "images": generator.integers(0, 256, (images, *shape), dtype=np.uint8),
        "targets": targets,
        "probabilities": probabilities,
    }


def check_picture(path: Path) -> None:
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.width == 1200
        assert 300 <= image.height <= 3300
        assert "Software" not in image.info
        grey = np.asarray(image.convert("L"))
    assert grey.std() > 4
    assert grey[0, 0] == 255


def texts(figure: Figure) -> list[str]:
    """Every text that the figure shows."""
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_visible()]


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(a_run(["no", "yes"], (8, 8, 1), epochs=1, right=True), id="two labels, one epoch, no mistakes"),
        pytest.param(
            a_run([f"label {i}" for i in range(30)], (6, 9, 3), images=20, validation=True), id="30 labels in colour"
        ),
        pytest.param(a_run(ODD_LABELS, (40, 4, 1), epochs=40), id="odd labels"),
    ],
)
def test_the_files(tmp_path: Path, run: dict[str, Any]) -> None:
    written = write_plots(tmp_path / "run", **run)
    assert sorted(written) == sorted((tmp_path / "run").iterdir())
    assert sorted(path.name for path in written) == FILES
    for path in written:
        check_picture(path)


def test_equal_runs_give_equal_bytes_whatever_the_user_has_set(tmp_path: Path) -> None:
    run = a_run(["no", "yes"], (3, 3, 3), images=8)
    first = [path.read_bytes() for path in write_plots(tmp_path / "first", **run)]
    with matplotlib.rc_context({"font.size": 30, "figure.facecolor": "black", "savefig.bbox": "tight"}):
        mine = dict(matplotlib.rcParams)
        second = [path.read_bytes() for path in write_plots(tmp_path / "second", **run)]
        assert dict(matplotlib.rcParams) == mine
    assert first == second


def test_the_fonts_that_the_user_has_set_come_first(tmp_path: Path) -> None:
    run = a_run(["no", "yes"], (3, 3, 3), images=8)
    sans = [path.read_bytes() for path in write_plots(tmp_path, **run)]
    with matplotlib.rc_context({"font.family": "serif"}):
        serif = [path.read_bytes() for path in write_plots(tmp_path, **run)]
    assert all(one != other for one, other in zip(sans, serif, strict=True))


def test_characters_that_no_font_has_are_noted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.report.fonts.fontManager.ttflist", own_fonts())
    monkeypatch.setattr("trainer.report.fonts.findSystemFonts", list)
    said: list[str] = []
    write_plots(tmp_path, **a_run(["犬", "猫", "dog"], (3, 3, 1), images=8), say=said.append)
    assert len(said) == 1
    assert "犬猫" in said[0]
    assert "dog" not in said[0]


@pytest.mark.spawns
def test_neither_pyplot_nor_the_backend_is_touched(tmp_path: Path) -> None:
    result = run_python(DRAW, tmp_path, environment={"MPLBACKEND": "svg"})
    assert result.returncode == 0, result.stderr
    assert result.stdout == "svg\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES


@pytest.mark.spawns
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param("backend: TkAgg", marks=pytest.mark.slow),
        "text.usetex: True",
        pytest.param(
            "savefig.format: pdf\nsavefig.dpi: 7\nsavefig.transparent: True\nsavefig.bbox: tight",
            marks=pytest.mark.slow,
        ),
        "figure.facecolor: black\naxes.facecolor: black\nsavefig.facecolor: black\ntext.color: white",
        pytest.param("font.family: No Such Family\nfont.size: 90", marks=pytest.mark.slow),
    ],
)
def test_any_settings_of_the_user_give_sound_plots(settings: str, tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text(settings)
    result = run_python(DRAW, tmp_path / "run", environment={"MATPLOTLIBRC": str(tmp_path / "matplotlibrc")})
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == FILES
    for path in (tmp_path / "run").iterdir():
        check_picture(path)


@pytest.fixture
def blank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty plots, which take no time to draw."""
    for name in ("curves", "confusions", "weight_images", "mistakes"):
        monkeypatch.setattr(plots, name, lambda *_: Figure((1, 1)))


@pytest.mark.usefixtures("blank")
def test_other_warnings_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def warn(_history: object) -> Figure:
        warnings.warn("something else", stacklevel=1)
        return Figure((1, 1))

    monkeypatch.setattr(plots, "curves", warn)
    with pytest.warns(UserWarning, match="something else"):
        write_plots(tmp_path, **a_run(["no", "yes"], (3, 3, 1)))


@pytest.mark.usefixtures("blank")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainerError, match=r"curves\.png: expected a place to write to"):
        write_plots(tmp_path / "file", **a_run(["no", "yes"], (3, 3, 1)))


@pytest.mark.parametrize(
    ("validation", "splits"), [(False, ["training", "test"]), (True, ["training", "validation", "test"])]
)
def test_curves(validation: bool, splits: list[str]) -> None:
    history = a_run(["no", "yes"], (2, 2, 1), epochs=4, validation=validation)["history"]
    for axes in curves(history).axes:
        assert [str(line.get_label()) for line in axes.lines] == [f"{split} 0.2500" for split in splits]
        for line in axes.lines:
            np.testing.assert_array_equal(np.asarray(line.get_data()), [[1, 2, 3, 4], [1, 1 / 2, 1 / 3, 1 / 4]])


def test_one_epoch_has_one_tick_and_markers() -> None:
    for axes in curves(a_run(["no", "yes"], (2, 2, 1), epochs=1)["history"]).axes:
        assert [tick for tick in axes.get_xticks() if 0.5 <= tick <= 1.5] == [1]
        assert len({line.get_marker() for line in axes.lines} - {"", "None"}) == 2


def test_lines_differ_in_more_than_colour() -> None:
    for axes in curves(a_run(["no", "yes"], (2, 2, 1), epochs=100, validation=True)["history"]).axes:
        for cue in ("get_marker", "get_linestyle", "get_color"):
            assert len({getattr(line, cue)() for line in axes.lines}) == 3


@pytest.mark.parametrize(("classes", "numbers"), [(2, True), (20, True), (21, False), (130, False)])
def test_confusions(classes: int, numbers: bool) -> None:
    names = [f"name {index}" for index in range(classes)]
    figure = confusions(names, np.eye(classes, dtype=np.int64) * 4321)
    axes = figure.axes[0]
    assert ("4321" in texts(figure)) == numbers
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted label", "true label")
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks == [label.get_text() for label in axes.get_yticklabels()] == names[:: 3 if classes == 130 else 1]


def test_confusions_of_many_labels_stay_visible() -> None:
    matrix = np.eye(1000, dtype=np.int64) * 9
    matrix[123, 456] = 1
    axes = confusions([f"name {index}" for index in range(1000)], matrix).axes[0]
    cells = np.asarray(axes.images[0].get_array())
    assert cells.shape == (250, 250)
    assert np.argwhere(cells == 0.1).tolist() == [[123 // 4, 456 // 4]]
    assert (cells.diagonal() >= 0.9).all()
    assert axes.get_xlim() == (-0.5, 999.5)
    assert [label.get_text() for label in axes.get_xticklabels()] == [f"name {index}" for index in range(0, 1000, 20)]


def test_a_label_without_test_images_has_an_empty_row() -> None:
    shares = confusions(["a", "b"], np.array([[3, 1], [0, 0]])).axes[0].images[0].get_array()
    np.testing.assert_array_equal(np.asarray(shares), [[0.75, 0.25], [0, 0]])


def test_weights_in_grey_are_symmetric_about_0() -> None:
    weights = np.arange(12, dtype=np.float32).reshape(6, 2)
    figure = weight_images(["even", "odd"], weights, (2, 3, 1))
    images = [axes.images[0] for axes in figure.axes[:2]]
    np.testing.assert_array_equal(np.asarray(images[0].get_array()), [[0, 2, 4], [6, 8, 10]])
    for image in images:
        low, high = image.get_clim()
        assert low == -high
        assert 10 < high <= 11
    assert {"even", "odd"} < set(texts(figure))


def test_weights_in_colour_are_a_channel_each() -> None:
    weights = np.stack([np.arange(12), -np.arange(12)], axis=1).astype(np.float32)
    axes = weight_images(["a", "b"], weights, (2, 2, 3)).axes[0]
    shown = np.ma.MaskedArray(axes.images[0].get_array()).filled(np.nan)
    gap = np.nan
    np.testing.assert_array_equal(shown, [[0, 3, gap, 1, 4, gap, 2, 5], [6, 9, gap, 7, 10, gap, 8, 11]])
    assert dict(zip([label.get_text() for label in axes.get_xticklabels()], axes.get_xticks(), strict=True)) == {
        "red": 0.5, "green": 3.5, "blue": 6.5,
    }  # fmt: skip


def test_weights_that_are_all_0() -> None:
    figure = weight_images(["a", "b"], np.zeros((4, 2), np.float32), (2, 2, 1))
    assert figure.axes[0].images[0].get_clim() == (-1, 1)


def test_weights_of_many_labels() -> None:
    figure = weight_images([f"name {index}" for index in range(26)], np.ones((1, 26), np.float32), (1, 1, 1))
    assert len(figure.axes) == 25 + 1, "and a bar"
    assert "first 25 of 26 labels" in figure.get_suptitle()


def test_the_worst_mistakes_come_first() -> None:
    confidence = np.linspace(0.6, 0.99, 40, dtype=np.float32)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    targets = np.arange(40) % 2
    images = np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    figure = mistakes(["cat", "dog"], images, targets, probabilities)
    shown = [int(np.asarray(axes.images[0].get_array())[0, 0]) for axes in figure.axes]
    assert shown == list(range(39, 8, -2))
    assert figure.axes[0].get_title() == "predicted 99.0 %\ncat"
    assert figure.axes[0].get_xlabel() == "true\ndog\n39"
    assert figure.get_suptitle() == "The most confident of 20 mistakes in 40 test images"


def test_no_mistakes() -> None:
    run = a_run(["no", "yes"], (2, 2, 1), right=True)
    figure = mistakes(["no", "yes"], run["images"], run["targets"], run["probabilities"])
    assert texts(figure) == ["No mistakes: all 60 test images got their true label"]


def test_no_text_is_wider_than_its_column() -> None:
    figure = mistakes(
        ["W" * 40, "M" * 40],
        np.zeros((4, 2, 2, 1), np.uint8),
        np.array([0, 1, 0, 1]),
        np.eye(2, dtype=np.float32)[[1, 0, 1, 0]],
    )
    figure.canvas.draw()
    boxes = [axes.title.get_window_extent() for axes in figure.axes]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))

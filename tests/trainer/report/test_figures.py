"""The house style: legible on a telephone, and for the colour-blind."""

from itertools import combinations

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from trainer.report.figures import COLORS, FONT_SIZE, STYLE, WIDTH, look

PHONE = 358  # pixels of CSS that a window of 390 leaves for a picture
DEUTERANOPIA = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])  # Machado et al., 2009
PROTANOPIA = np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]])


def linear(color: str) -> np.ndarray:
    rgb = np.array(to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def test_text_is_legible_on_a_telephone() -> None:
    assert FONT_SIZE / 72 / WIDTH * PHONE >= 7, "pixels"


@pytest.mark.parametrize("color", COLORS)
def test_a_colour_stands_out_from_white(color: str) -> None:
    """As WCAG 2 asks of graphics: 3 to 1."""
    luminance = linear(color) @ [0.2126, 0.7152, 0.0722]
    assert 1.05 / (luminance + 0.05) >= 3


@pytest.mark.parametrize("sight", [DEUTERANOPIA, PROTANOPIA], ids=["deuteranopia", "protanopia"])
def test_colours_differ_to_the_colour_blind(sight: np.ndarray) -> None:
    seen = [sight @ linear(color) for color in COLORS]
    assert min(np.abs(one - other).max() for one, other in combinations(seen, 2)) >= 0.1


def test_lines_without_colour_differ_too() -> None:
    looks = [look(place) for place in range(len(COLORS))]
    for cue in ("marker", "linestyle"):
        assert len({one[cue] for one in looks}) == len(looks)
    with matplotlib.rc_context(STYLE):
        assert [one["marker"] for one in matplotlib.rcParams["axes.prop_cycle"]] == [one["marker"] for one in looks]

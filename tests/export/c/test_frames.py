"""Integer weights of camera frames, against Pillow's own resizing."""

import numpy as np
import pytest
from PIL import Image

from export import ExportError
from export.c.frames import check_frame, frame_values, weights
from runtime.image import ImageContract


@pytest.mark.parametrize(("count", "size"), [(320, 28), (28, 28), (20, 28), (7, 96), (1, 5), (240, 1), (97, 31)])
def test_the_weights_are_pillows(count: int, size: int) -> None:
    found = weights(count, size)
    lines = np.random.default_rng(0).integers(0, 256, (50, count), np.uint8)
    sums = np.stack([
        sum(np.int64(weight) * lines[:, first + place] for place, weight in enumerate(some))
        for first, some in zip(found.firsts, found.weights, strict=True)
    ], axis=1)  # fmt: skip
    expected = np.asarray(Image.fromarray(lines).resize((size, 50), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal((sums + 2**21) >> 22, expected)
    assert found.places[-1] == sum(map(len, found.weights)) < 2**16
    assert sums.max() < 2**31


@pytest.mark.parametrize(("count", "size"), [(240, 28), (28, 28), (20, 28), (7, 96), (1, 5), (5, 1)])
def test_as_many_rows_are_open_as_are_needed(count: int, size: int) -> None:
    """Counted anew: rows that a row counts for, from the first one that is not finished before it."""
    found, most = weights(count, size), 0
    for place in range(count):
        unfinished = [y for y in range(size) if found.firsts[y] + len(found.weights[y]) > place]
        counted = [y for y in unfinished if found.firsts[y] <= place]
        most = max(most, max(counted) - unfinished[0] + 1)
    assert found.open == most


def test_a_frame_is_cut_or_padded_as_the_contract_says() -> None:
    crop = frame_values(ImageContract(height=28, width=28, fit="crop"), (320, 240))
    assert (crop["left"], crop["top"], crop["part_height"], crop["inside_width"]) == (40, 0, 240, 28)
    pad = frame_values(ImageContract(height=32, width=32, color="RGB", fit="pad", fill=(1, 2, 3)), (320, 240))
    assert (pad["inside_width"], pad["inside_height"], pad["inside_left"], pad["inside_top"]) == (32, 24, 0, 4)
    assert pad["fill"] == "1, 2, 3"
    assert pad["inside_row"] == 96


@pytest.mark.parametrize("frame", [(0, 240), (320, 4097), (-1, 5)])
def test_a_frame_of_no_size_is_refused(frame: tuple[int, int]) -> None:
    with pytest.raises(ExportError, match="expected a camera's frame of 1 to 4,096 pixels a side, found"):
        check_frame(frame)

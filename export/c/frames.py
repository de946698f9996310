"""Camera frames: how one is brought to the model's image, as tables of integers. docs/artefact.md has the rules."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from runtime.geometry import crop_box, size_inside
from runtime.image import ImageContract

from ..errors import ExportError
from .identifiers import numbers

UNIT = 2**22
LARGEST = 4096  # pixels of a side


class Weights(NamedTuple):
    """For each pixel of a resized line: the first pixel that counts, and integer weights in units of 2⁻²²."""

    firsts: list[int]
    weights: list[list[int]]

    @property
    def places(self) -> list[int]:
        """Where the weights of each begin in the list of all, and its end."""
        return [sum(map(len, self.weights[:place])) for place in range(len(self.weights) + 1)]

    @property
    def open(self) -> int:
        """How many pixels of the result one pixel may count for at the most, counted from the first unfinished one."""
        ends = [first + len(weights) for first, weights in zip(self.firsts, self.weights, strict=True)]
        started = [sum(first <= place for first in self.firsts) for place in range(ends[-1])]
        finished = [sum(end <= place for end in ends) for place in range(ends[-1])]
        return max(begun - done for begun, done in zip(started, finished, strict=True))


def check_frame(frame: Sequence[int]) -> tuple[int, int]:
    """Return a frame's width and height. Raises ExportError."""
    width, height = frame
    if not (1 <= width <= LARGEST and 1 <= height <= LARGEST):
        raise ExportError(
            f"expected a camera's frame of 1 to {LARGEST:,} pixels a side, found {width} x {height}: name the size of "
            "the images that the camera hands over, such as 320x240"
        )
    return width, height


def frame_values(image: ImageContract, frame: tuple[int, int]) -> dict[str, object]:
    """Return what the templates of a frame need.

    frame: width and height.
    """
    left, top, right, bottom = crop_box(frame, image.size) if image.fit == "crop" else (0, 0, *frame)
    inside = size_inside(frame, image.size) if image.fit == "pad" else image.size
    columns, rows = weights(right - left, inside[0]), weights(bottom - top, inside[1])
    return {
        "frame_width": frame[0], "frame_height": frame[1], "left": left, "top": top, "part_height": bottom - top,
        "inside_width": inside[0], "inside_height": inside[1], "inside_row": inside[0] * image.channels,
        "inside_left": (image.width - inside[0]) // 2, "inside_top": (image.height - inside[1]) // 2,
        "open": rows.open, "fill": ", ".join(map(str, image.fill or (0,) * image.channels)),
        **_tables("column", columns), **_tables("row", rows),
    }  # fmt: skip


def weights(count: int, size: int) -> Weights:
    """Weights of a line of `count` pixels that is resized to `size`, by the rules of the image contract."""
    found = [list(_weights(count, size, place)) for place in range(size)]
    return Weights([some[0][0] for some in found], [[weight for _, weight in some] for some in found])


def _weights(count: int, size: int, place: int) -> Iterator[tuple[int, int]]:
    reach = 2 * max(count, size)
    middle = (2 * place + 1) * count
    low, high = (middle - reach) // (2 * size) - 1, (middle + reach) // (2 * size) + 2
    near = {
        pixel: reach - abs((2 * pixel + 1) * size - middle) for pixel in range(max(0, low), min(count, high))
    }  # fmt: skip
    total = sum(share for share in near.values() if share > 0)
    for pixel, share in near.items():
        if share > 0:
            yield pixel, (2 * UNIT * share + total) // (2 * total)


def _tables(name: str, found: Weights) -> dict[str, str]:
    return {
        f"{name}s": numbers(found.firsts),
        f"{name}_places": numbers(found.places),
        f"{name}_weights": numbers(f"{weight}u" for some in found.weights for weight in some),
    }

"""What is to be said of images that were read although something about them is not as expected."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

WITHOUT_END, CLIPPED = "without end", "clipped"


class ImageWarning(UserWarning):
    """An image was read, but its file is not as it should be, or its pixels have larger values than the model takes."""


@dataclass
class Remarks:
    """What was noticed about an image.

    without_end: whether it is a JPEG file without its end marker, of which no pixel is missing.
    largest: the largest value of its pixels if they have more than 8 bits; else None.
    elongated: whether its aspect ratio is far from the model's.
    tiny: whether it is less than half as high and wide as the model's images.
    """

    without_end: bool = False
    largest: int | None = None
    elongated: bool = False
    tiny: bool = False

    def __bool__(self) -> bool:
        return self.is_odd or self.elongated or self.tiny

    @property
    def is_odd(self) -> bool:
        """Whether its file is not as most are."""
        return self.without_end or self.largest is not None


def most(shift: int) -> int:
    """Return the largest value that is not clipped where 16-bit pixels are shifted by `shift`."""
    return (256 << shift) - 1


def tally(remarks: Iterable[Remarks], shift: int) -> Counter[str]:
    """Count the images of each kind that is to be reported."""
    found = list(remarks)
    clipped = sum(one.largest is not None and one.largest > most(shift) for one in found)
    return +Counter({WITHOUT_END: sum(one.without_end for one in found), CLIPPED: clipped})


def messages(counts: Counter[str], images: int, shift: int) -> list[str]:
    """Say how many of `images` images are to be reported, in a line for each kind."""
    texts = {
        WITHOUT_END: "expected JPEG files with an end marker, found {} without, which were read, as no pixel is "
        "missing: check how the files are copied",
        CLIPPED: f"expected 16-bit pixels of at most {most(shift):,}, found larger ones in {{}}, which became white: "
        "check the camera, or train on such images too",
    }
    return [texts[kind].format(f"{count:,} of {images:,} images") for kind, count in counts.items()]

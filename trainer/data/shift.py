"""By how many bits images of more than 8 bits are shifted, chosen from the values in the training images."""

from runtime.data.source import LabelledSource
from runtime.image import MAX_SHIFT
from runtime.remarks import Remarks
from runtime.text import note

DEPTHS = (8, 10, 12, 14, 16)  # of cameras, in bits


def choose_shift(source: LabelledSource, remarks: dict[str, Remarks]) -> int:
    """Choose the smallest shift that clips no training image, and say so on standard error.

    source: where no test part is, its images count as training images, before some are held out.
    remarks: image's name → what was noticed when it was read.
    Returns the bits that a camera's depth has above 8; 8 where no training image has more than 8 bits.
    """
    deep = {name: one.largest for name, one in remarks.items() if one.largest is not None}
    if not deep:
        return MAX_SHIFT
    count = len(source.targets()["train"])
    values = [deep[name] for name in map(source.images.name, range(count)) if name in deep]
    if not values:
        of = f"{len(deep):,} validation or test images, but no training image, have 16-bit pixels"
        note(f"{source.name}: {of}: shifted by {MAX_SHIFT} to 8 bits (--shift)")
        return MAX_SHIFT
    largest = max(values)
    shift = next(depth for depth in DEPTHS if largest < 2**depth) - 8
    of = f"{len(values):,} of {count:,} training images have 16-bit pixels, of up to {largest:,}"
    note(f"{source.name}: {of}: shifted by {shift} to 8 bits (--shift)")
    return shift

"""The entry `pixel_statistics` of an artefact: what the training images look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .entries import check, items, number, share
from .image import CHANNELS

VALUE_BINS, COLOUR_BINS = 16, 25
EXPECTED = "mean and std, a finite number a channel, and an appearance that this version knows"


class Appearance(NamedTuple):
    """Statistics of the training images with which `runtime.skew.measures` detects input skew.

    border, whole: shares of 16 equal ranges of pixel values, at the images' border and in the whole image.
    colours: shares of 25 ranges of colour; empty for greyscale.
    least_range: the smallest difference between the lightest and the darkest pixel of an image, 0-255.
    least_peak: the smallest value of the lightest pixel of an image, 0-255.
    one, several: by the measures' names, the limits below which one image, and half of several images, look unlike the
        training images; measures that cannot tell are left out.
    """

    border: tuple[float, ...]
    whole: tuple[float, ...]
    colours: tuple[float, ...]
    least_range: int
    least_peak: int
    one: Mapping[str, float]
    several: Mapping[str, float]


class PixelStatistics(NamedTuple):
    """Statistics of the training images.

    mean, std: mean and standard deviation of the pixels, one value a channel, in units of 0-255.
    appearance: None in artefacts of format 1.0.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    appearance: Appearance | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the entry as JSON values."""
        return self._asdict() | {"appearance": self.appearance and self.appearance._asdict()}


def read_statistics(value: Any) -> PixelStatistics | None:
    """Read the entry. Raises as the functions of `entries` do."""
    if value is None:
        return None
    mean, std = (tuple(map(number, items(value[name]))) for name in ("mean", "std"))
    check(len(mean) == len(std) and len(mean) in CHANNELS.values())
    appearance = value.get("appearance")
    return PixelStatistics(
        mean=mean, std=std, appearance=None if appearance is None else _appearance(appearance, len(mean))
    )


def _appearance(value: Any, channels: int) -> Appearance:
    def shares(name: str, bins: int) -> tuple[float, ...]:
        found = tuple(map(share, items(value[name])))
        check(len(found) == bins)
        return found

    def limits(name: str) -> dict[str, float]:
        return {key: number(limit) for key, limit in value[name].items()}

    least_range, least_peak = value["least_range"], value["least_peak"]
    check(type(least_range) is int and type(least_peak) is int and 0 <= least_range <= least_peak <= 255)
    return Appearance(
        border=shares("border", VALUE_BINS),
        whole=shares("whole", VALUE_BINS),
        colours=shares("colours", COLOUR_BINS if channels > 1 else 0),
        least_range=least_range,
        least_peak=least_peak,
        one=limits("one"),
        several=limits("several"),
    )

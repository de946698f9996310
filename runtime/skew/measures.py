"""Input skew: images that look unlike the training images, and the likely cause.

`export.appearance` has found out what can be told of these training images; nothing else is guessed at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..artefact import COLOUR_BINS, VALUE_BINS, Appearance, PixelStatistics
from ..image import Pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.integer]
    Mask = NDArray[np.bool_]

SIDE = 32  # rows and columns of an image to look at, at most
SEVERAL = 8  # images from which on the limits for several hold
BLANK = 32  # times less range or lightness than in any training image
NATURAL = 8  # deviation of the training pixels above which they were not scaled to 0-1 themselves
FAR, NEAR = 0.6, 0.8  # of a limit of brightness: what is below the one is wildly off, above the other in order
FLOOR = 0.02  # added to shares: what no training image has is rare, not impossible
STEPS, STEP = 5, 21  # of red less green, and of blue less green; the third step has 0 in its middle
MIRRORED_VALUES = np.arange(VALUE_BINS)[::-1]
MIRRORED_COLOURS = np.arange(COLOUR_BINS).reshape(STEPS, STEPS).T.ravel()
NEGATIVE = {"level": "headroom", "peak": "depth", "headroom": "level", "depth": "peak"}
BRIGHTNESS = "expected about the brightness of the training images, found {} far"
LOOKS = {
    "scaled": "expected pixels of 0-255, found {} with none above 1: likely scaled to 0-1, pass raw pixels",
    "blank": "expected images that show something, found {} of one value or hardly more: check the camera and the "
    "files, and that pixels were not scaled to 0-1",
    "inverted": "expected light and dark as in the training images, found {} likely inverted: pass 255 - image",
    "dark": f"{BRIGHTNESS} darker: check the exposure, and that pixels range over 0-255",
    "bright": f"{BRIGHTNESS} brighter: check the exposure, and that black is near 0",
    "swapped": "expected channels in RGB order, found {} likely in BGR, as OpenCV reads: pass image[..., ::-1]",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What looks wrong. cause: "inverted", "scaled", "swapped", "blank" or "brightness". share: of the images, 0-1."""

    cause: str
    share: float
    message: str


def findings(images: Pixels, statistics: PixelStatistics | None) -> list[Finding]:
    """Name what looks wrong with images, as far as the training pixels' statistics tell.

    images: uint8 [N, H, W, C] of the model's size, N ≥ 0. A few have to look wrong more clearly than several.
    """
    if not len(images):
        return []
    few = sampled(images)
    looks = _empty(images, few, statistics)
    rest = ~(looks["scaled"] | looks["blank"])
    if statistics and statistics.appearance and rest.any():
        looks |= _unusual(few[rest], statistics.appearance)
    return [_finding(look, int(mask.sum()), len(images)) for look, mask in looks.items() if mask.any()]


def sampled(images: Pixels) -> Pixels:
    """Take evenly spaced pixels, at most SIDE × SIDE of an image."""
    return images[:, :: -(-images.shape[1] // SIDE), :: -(-images.shape[2] // SIDE)]


def shares(images: Pixels) -> tuple[Floats, Floats, Floats]:
    """Shares of pixel values at the border [N, 16] and all over [N, 16]; of colours [N, 25], or [N, 0] if greyscale."""
    values = images // (256 // VALUE_BINS)
    border = np.concatenate([values[:, 0], values[:, -1], values[:, :, 0], values[:, :, -1]], axis=1)
    colours = np.zeros((len(images), 0))
    if images.shape[3] > 1:
        red, green, blue = np.moveaxis(images.astype(np.int16), 3, 0)
        steps = [np.clip((part - green + STEP * STEPS // 2) // STEP, 0, STEPS - 1) for part in (red, blue)]
        colours = _counted(STEPS * steps[0] + steps[1], COLOUR_BINS)
    return _counted(border, VALUE_BINS), _counted(values, VALUE_BINS), colours


def measures(images: Pixels, appearance: Appearance) -> dict[str, Floats]:
    """Measure sampled images: by name, a number for each; less is less like the training images.

    polarity, order: how much likelier the training images have an image's values than its negative's, and its colours
    than those with red and blue exchanged: the mean log odds. level, peak: mean and lightest pixel. headroom, depth:
    those of the negative. gradation: share of what is not black that is not white.
    """
    border, whole, colours = shares(images)
    polarity = border @ _odds(appearance.border, MIRRORED_VALUES) + whole @ _odds(appearance.whole, MIRRORED_VALUES)
    flat = images.reshape(len(images), -1)
    level, peak, darkest = flat.mean(axis=1), flat.max(axis=1).astype(np.float64), flat.min(axis=1)
    found = {"polarity": polarity / 2, "level": level, "peak": peak, "headroom": 255 - level, "depth": 255.0 - darkest}
    found["gradation"] = 1 - whole[:, -1] / np.maximum(1 - whole[:, 0], 1e-9)
    if appearance.colours:
        found["order"] = colours @ _odds(appearance.colours, MIRRORED_COLOURS)
    return found


def ranges_and_peaks(images: Pixels) -> tuple[Pixels, Pixels]:
    """Lightest pixel less darkest, in the channel where they differ most, and lightest of all: [N] each."""
    lightest, darkest = images.max(axis=(1, 2)), images.min(axis=(1, 2))
    return (lightest - darkest).max(axis=1), lightest.max(axis=1)


def _empty(images: Pixels, few: Pixels, statistics: PixelStatistics | None) -> dict[str, Mask]:
    """Which images have no pixel above 1, and which show nothing."""
    appearance = statistics.appearance if statistics else None
    least_range, least_peak = (appearance.least_range, appearance.least_peak) if appearance else (1, 0)
    ranges, peaks = ranges_and_peaks(few)
    close = (ranges <= max(1, least_range // BLANK)) | (peaks <= max(1, least_peak // BLANK))
    ranges[close], peaks[close] = ranges_and_peaks(images[close])  # of all pixels
    scaled = (peaks <= 1) & (statistics is None or max(statistics.std) > NATURAL)
    scaled &= bool((scaled & (ranges == 1)).any())  # all of them black is blank
    blank = (ranges <= least_range // BLANK) & (least_range > 0) | (peaks <= least_peak // BLANK) & (least_peak > 0)
    return {"scaled": scaled, "blank": blank & ~scaled}


def _unusual(few: Pixels, appearance: Appearance) -> dict[str, Mask]:
    """Which images are unlike the training images, by looks that at least half of them have."""
    found = measures(few, appearance)
    limits = dict.fromkeys(found, -np.inf) | dict(appearance.one if len(few) < SEVERAL else appearance.several)
    off = {name: found[name] < FAR * limits[name] for name in (*NEGATIVE, "gradation")}
    usual_negative = np.all([found[NEGATIVE[name]] >= NEAR * limits[name] for name in NEGATIVE], axis=0)
    inverted = (found["polarity"] < limits["polarity"]) & usual_negative
    dark = (off["level"] | off["peak"]) & ~inverted
    bright = (off["headroom"] | off["depth"] | off["gradation"]) & ~(inverted | dark)
    looks = {"inverted": inverted, "dark": dark, "bright": bright}
    if "order" in found:
        looks["swapped"] = (found["order"] < limits["order"]) & ~(inverted | dark | bright)
    return {look: mask for look, mask in looks.items() if 2 * mask.sum() >= len(few)}


def _finding(look: str, count: int, images: int) -> Finding:
    cause = "brightness" if look in ("dark", "bright") else look
    which = f"{count} of {images} images" if images > 1 else "the image"
    return Finding(cause, count / images, LOOKS[look].format(which))


def _counted(bins: Ints, count: int) -> Floats:
    """Shares of each of `count` bins: [N, …] → [N, count]."""
    flat = bins.reshape(len(bins), -1) + count * np.arange(len(bins))[:, None]
    shares: Floats = np.bincount(flat.ravel(), minlength=count * len(bins)).reshape(-1, count) / flat.shape[1]
    return shares


def _odds(usual: Sequence[float], mirrored: Ints) -> Floats:
    """Log of how much likelier each bin is than its mirror image."""
    likely = np.log(np.asarray(usual) + FLOOR)
    return likely - likely[mirrored]

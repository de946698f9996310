"""Detects input skew, images that look unlike the training images, and its likely cause.

`export.appearance` has calibrated the limits at export; causes that they cannot tell are not reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..image import Pixels
from ..pixel_statistics import COLOUR_BINS, VALUE_BINS, Appearance, PixelStatistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.integer]
    Mask = NDArray[np.bool_]

SIDE = 32  # rows and columns of an image to examine, at most
SEVERAL = 8  # from this number of images on, the limits for several images hold
BLANK = 32  # a blank image has this many times less range or lightness than any training image
NATURAL = 8  # standard deviation above which the training pixels themselves were not scaled to 0-1
FAR, NEAR = 0.6, 0.8  # shares of a brightness limit: below the first is wrong, above the second is normal
FLOOR = 0.02  # added to shares: a value that no training image has is rare, not impossible
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
    """One kind of input skew.

    cause: "inverted", "scaled", "swapped", "blank" or "brightness".
    share: of the images, 0-1.
    message: what was expected, what was found, and the likely remedy.
    """

    cause: str
    share: float
    message: str


def findings(images: Pixels, statistics: PixelStatistics | None) -> list[Finding]:
    """Detect input skew in images, as far as the statistics of the training images allow.

    images: uint8 [N, H, W, C] of the model's size, N ≥ 0; fewer than SEVERAL have wider limits.
    statistics: None where they are not known; then only blank and scaled images are detected.
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
    """Select evenly spaced pixels, at most SIDE × SIDE of an image."""
    return images[:, :: -(-images.shape[1] // SIDE), :: -(-images.shape[2] // SIDE)]


def shares(images: Pixels) -> tuple[Floats, Floats, Floats]:
    """Compute histograms: values at the border [N, 16] and in the whole image [N, 16], colours [N, 25] or [N, 0]."""
    values = images // (256 // VALUE_BINS)
    border = np.concatenate([values[:, 0], values[:, -1], values[:, :, 0], values[:, :, -1]], axis=1)
    colours = np.zeros((len(images), 0))
    if images.shape[3] > 1:
        red, green, blue = np.moveaxis(images.astype(np.int16), 3, 0)
        steps = [np.clip((part - green + STEP * STEPS // 2) // STEP, 0, STEPS - 1) for part in (red, blue)]
        colours = _counted(STEPS * steps[0] + steps[1], COLOUR_BINS)
    return _counted(border, VALUE_BINS), _counted(values, VALUE_BINS), colours


def measures(images: Pixels, appearance: Appearance) -> dict[str, Floats]:
    """Measure sampled images; a lower number is less like the training images.

    Returns [N] each, by name:
    polarity: mean log odds of the image's values against its negative's, under the training images' histogram.
    order: the same for its colours against those with red and blue exchanged.
    level, peak: mean and lightest pixel.
    headroom, depth: level and peak of the negative.
    gradation: share of the pixels that are not black which are not white either.
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
    """Compute the range of values, in the channel where it is largest, and the lightest pixel of each image: [N]."""
    lightest, darkest = images.max(axis=(1, 2)), images.min(axis=(1, 2))
    return (lightest - darkest).max(axis=1), lightest.max(axis=1)


def _empty(images: Pixels, few: Pixels, statistics: PixelStatistics | None) -> dict[str, Mask]:
    """Find images without a pixel above 1, and blank images."""
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
    """Find images unlike the training images; a look counts if at least half of the images have it."""
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
    """Compute the share of each of `count` bins: [N, …] → [N, count]."""
    flat = bins.reshape(len(bins), -1) + count * np.arange(len(bins))[:, None]
    shares: Floats = np.bincount(flat.ravel(), minlength=count * len(bins)).reshape(-1, count) / flat.shape[1]
    return shares


def _odds(usual: Sequence[float], mirrored: Ints) -> Floats:
    """Compute the log odds of each bin against its mirror image."""
    likely = np.log(np.asarray(usual) + FLOOR)
    return likely - likely[mirrored]

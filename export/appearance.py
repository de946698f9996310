"""Statistics of the training pixels that an artefact carries, with which `runtime.skew` detects input skew."""

import numpy as np
from numpy.typing import NDArray

from runtime.image import Pixels
from runtime.pixel_statistics import Appearance, PixelStatistics
from runtime.skew.measures import measures, ranges_and_peaks, sampled, shares

FEWEST = 32  # training images; with fewer there are no limits
RARE = 0.01  # share of the training images below the limits for several images
TOLD = 0.75  # a measure has a limit if it detects this share of altered training images
ALTERED = ("polarity", "order")  # measures whose sign changes with the skew that they detect
CHANGES = ((1.0, 0.0), (0.8, 0.0), (1.2, 0.0), (0.8, 25.6), (1.2, -25.6))  # brightness and contrast: factor, offset


def pixel_statistics(mean: NDArray[np.floating], std: NDArray[np.floating], sample: Pixels) -> PixelStatistics:
    """Describe the training pixels.

    mean, std: [C], of all training pixels.
    sample: training images, uint8 [S, H, W, C], S ≥ 1.
    """
    return PixelStatistics(mean=tuple(mean.tolist()), std=tuple(std.tolist()), appearance=_appearance(sample))


def _appearance(sample: Pixels) -> Appearance:
    """Describe how images look, and set limits for the measures of `runtime.skew` from moderate changes of them."""
    images = sampled(sample)
    border, whole, colours = (tuple(np.round(part.mean(axis=0), 4).tolist()) for part in shares(images))
    ends = np.stack([sample.min(axis=(1, 2)), sample.max(axis=(1, 2))], axis=1)[:, None]  # [S, 1, 2, C]
    least_range = min(ranges_and_peaks(_changed(ends, *change))[0].min() for change in CHANGES)
    found = Appearance(
        border=border,
        whole=whole,
        colours=colours,
        least_range=int(least_range),
        least_peak=int(ranges_and_peaks(sample)[1].min()),
        one={},
        several={},
    )
    if len(images) < FEWEST:
        return found
    measured = [measures(_changed(images, *change), found) for change in CHANGES]
    one = _limits(measured, 0)
    one.pop("order", None)  # a single image may have any colour
    return found._replace(one=one, several=_limits(measured, RARE))


def _limits(measured: list[dict[str, NDArray[np.float64]]], share: float) -> dict[str, float]:
    """Return a limit for each measure: the quantile `share` of the changed images, less a margin for a small sample."""
    limits = {}
    for name, plain in measured[0].items():
        middle = np.median(plain)
        bound = np.quantile(np.concatenate([changed[name] for changed in measured]), share)
        limit = bound - 5 / len(plain) ** 0.5 * (middle - bound)
        if name in ALTERED:
            limit = min(limit, -middle / 3)  # near 0 it is undecided, not altered
        if name not in ALTERED or (-plain < limit).mean() >= TOLD:
            limits[name] = float(f"{limit:.4g}")
    return limits


def _changed(images: Pixels, factor: float, offset: float) -> Pixels:
    return np.clip(np.round(images * factor + offset), 0, 255).astype(np.uint8)

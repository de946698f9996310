"""Whether one image is an altered copy of another: what is left of it after the best fit by the other.

A copy that was cropped, resized or re-encoded is its source, sampled elsewhere, softer, brighter, and with errors of
rounding. So the source is sampled with several widths cut off its sides, at two sharpnesses; these two and a constant
are fitted to the copy by least squares; and the deviation of what they leave is compared with what alterations leave.
"""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import interpolate

SIDE = 32  # of the grey images that are compared, at most
SAMPLES = 14  # on a side, at which two images are compared
BLUR, MORE = 1.0, 0.8  # pixels: of every sample, since resizing and JPEG change what is finer; of what makes it softer
LIMIT = 0.4  # of the root of the contrast: the deviation from its source, in grey levels, that a copy has at most
UNIFORM = 1  # grey level: the contrast of images that are not compared
LEAST = 16  # grey levels: below this contrast, the limit is a share of the contrast


def grey_images(block: Tensor) -> Tensor:
    """Bring images, uint8 [N, H, W, C], to grey of at most SIDE × SIDE: float16 [N, H, W]."""
    grey = block.cpu().float().mean(3)
    size = min(grey.shape[1], SIDE), min(grey.shape[2], SIDE)
    return interpolate(grey[:, None], size, mode="bilinear", antialias=True)[:, 0].half()


def sampled(grey: Tensor, side: int, crop: float, blur: float) -> Tensor:
    """Sample images [N, H, W] after cutting a share off each side: float32 [N, side²], of mean 0.

    blur: deviation in pixels of the Gaussian window that is averaged for each sample.
    """
    across, down = (_windows(size, side, crop, blur) for size in (grey.shape[2], grey.shape[1]))
    samples: Tensor = (down @ grey.float() @ across.T).flatten(1)
    return samples - samples.mean(1, keepdim=True)


@lru_cache(maxsize=64)
def _windows(size: int, side: int, crop: float, blur: float) -> Tensor:
    """Weights of `size` pixels in each sample, none of them of what is cut off: [side, size]."""
    cut, pixels = crop * size, torch.arange(size)
    kept = torch.minimum(pixels + 1, torch.tensor(size - cut)) - torch.maximum(pixels, torch.tensor(cut))
    centres = cut + (torch.arange(side) + 0.5) * (size - 2 * cut) / side
    weights = torch.exp(-(((pixels + 0.5 - centres[:, None]) / blur) ** 2) / 2) * kept.clamp(0, 1)
    return weights / weights.sum(1, keepdim=True)


def directions(grey: Tensor, crop: float) -> Tensor:
    """Two orthogonal directions of length 1 that span an image, cropped, as it is and softer: [N, 2, SAMPLES²]."""
    sharp = sampled(grey, SAMPLES, crop, BLUR)
    softer = sampled(grey, SAMPLES, crop, (BLUR**2 + MORE**2) ** 0.5)
    first = sharp / sharp.norm(dim=1, keepdim=True).clamp(min=1e-3)
    rest = softer - (softer * first).sum(1, keepdim=True) * first
    return torch.stack([first, rest / rest.norm(dim=1, keepdim=True).clamp(min=1e-3)], 1)


def ratios(sources: Tensor, copies: Tensor, crops: tuple[float, ...]) -> Tensor:
    """Compare what a source leaves of each possible copy with what a copy leaves at most, below 1 for a copy: [N, K].

    sources: [N, H, W], as `grey_images` gives them. copies: [N, K, SAMPLES²], sampled without a crop; uniform ones are
    none.
    """
    squares = copies.square().sum(2)
    left = torch.full_like(squares, torch.inf)
    for crop in crops:
        explained = (copies @ directions(sources, crop).transpose(1, 2)).square().sum(2)
        left = torch.minimum(left, squares - explained)
    deviation, contrast = (total.clamp(min=0).div(SAMPLES**2).sqrt() for total in (left, squares))
    found = deviation / (LIMIT * contrast / contrast.clamp(min=LEAST).sqrt()).clamp(min=1e-3)
    return found.where(contrast > UNIFORM, torch.inf)

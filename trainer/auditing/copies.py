"""Copies: images that are equal, and images that are much nearer to each other than to any others."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

SIDE = 12  # of the small grey image that is compared
CROPS = (0.0, 0.04)  # share of each side that is cut off, so that slightly cropped copies are found
NEIGHBOURS = 9  # one image in so many stands for the usual distance: that of the ninth nearest image
RATIO = 0.35  # of the usual distance, below which two images are copies
FARTHEST = 0.35  # distance of two small images of length 1, above which they never are
BLOCK = 1024


class Blocks(Protocol):
    """Images [N, H, W, C], read in blocks."""

    def split(self, size: int) -> Iterable[Tensor]:
        """Give blocks of at most `size` images."""
        ...


class Pair(NamedTuple):
    """Two rows of images, the later one first, and their distance as a share of the usual one."""

    row: int
    other: int
    ratio: float


def exact_copies(images: Blocks) -> list[list[int]]:
    """Find groups of equal images: rows, in order."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    row = 0
    for block in images.split(BLOCK):
        for image in block.cpu().numpy():
            groups[hashlib.blake2b(image.tobytes(), digest_size=16).digest()].append(row)
            row += 1
    return [rows for rows in groups.values() if len(rows) > 1]


def near_copies(images: Blocks, *, progress: Callable[[int, int], None] | None = None) -> list[Pair]:
    """Find pairs of images that are re-encoded, resized or slightly cropped copies.

    An image's nearest other is its copy if it is nearer than RATIO times the ninth nearest, as estimated by the nearest
    of a random ninth of the images (the ratio test of D. Lowe, "Distinctive Image Features from Scale-Invariant
    Keypoints", IJCV 2004). Uniform images are left out.

    images: uint8 [N, H, W, C].
    progress: called with the number of images done and of all.
    """
    plain, varied = small_images(images, 0.0)
    order = torch.randperm(len(plain), generator=torch.Generator().manual_seed(0))
    shuffled, places_of = plain[order], order.argsort()
    ninth = max(1, len(plain) // NEIGHBOURS)
    best, usual = torch.full((len(plain),), -1.0), torch.full((len(plain),), -1.0)
    nearest = torch.zeros(len(plain), dtype=torch.int64)
    for crop in CROPS:
        queries = plain if crop == 0 else small_images(images, crop)[0]
        for start in range(0, len(plain), BLOCK):
            rows = slice(start, min(start + BLOCK, len(plain)))
            products = queries[rows] @ shuffled.T
            products[torch.arange(len(products)), places_of[rows]] = -1.0  # of itself
            found, places = products.max(1)
            nearest[rows] = torch.where(found > best[rows], order[places], nearest[rows])
            best[rows] = torch.maximum(best[rows], found)
            usual[rows] = torch.maximum(usual[rows], products[:, :ninth].max(1).values)
            if progress and crop == CROPS[-1]:
                progress(rows.stop, len(plain))
    return list(_pairs(best, usual, nearest, varied))


def small_images(images: Blocks, crop: float) -> tuple[Tensor, Tensor]:
    """Bring images to grey, SIDE × SIDE, of mean 0 and length 1: float32 [N, SIDE²]; and say which vary at all: [N]."""
    found = []
    for block in images.split(BLOCK):
        grey = block.cpu().float().mean(3)[:, None]
        cut = max(1, round(crop * min(grey.shape[2:]))) if crop else 0
        if cut and min(grey.shape[2:]) > 2 * cut:
            grey = grey[:, :, cut:-cut, cut:-cut]
        small = interpolate(grey, (SIDE, SIDE), mode="area" if min(grey.shape[2:]) >= SIDE else "bilinear").flatten(1)
        found.append(small - small.mean(1, keepdim=True))
    rows = torch.cat(found)
    lengths = rows.norm(dim=1, keepdim=True)
    return rows / lengths.clamp(min=1e-6), lengths[:, 0] > SIDE  # a deviation of more than one grey level


def _pairs(best: Tensor, usual: Tensor, nearest: Tensor, varied: Tensor) -> Iterator[Pair]:
    distances, usually = ((2 - 2 * products).clamp(min=0).sqrt() for products in (best, usual))
    ratios = distances / usually.clamp(min=1e-6)
    seen = set()
    close = (ratios < RATIO) & (distances < FARTHEST) & varied & varied[nearest]
    for row in np.flatnonzero(close.numpy()).tolist():
        other = int(nearest[row])
        pair = max(row, other), min(row, other)
        if pair not in seen:
            seen.add(pair)
            yield Pair(*pair, float(ratios[row]))

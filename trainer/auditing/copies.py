"""Copies: images that are equal, and images that are re-encoded, resized or slightly cropped ones of others."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import normalize

from .aligned import BLUR, SAMPLES, grey_images, ratios, sampled
from .aligned import SIDE as LARGEST

SIDE = 8  # of the small images, whose nearest are looked at closely
CROPS = (0.0, 0.036, 0.072)  # share of each side that is cut off before the nearest are found
ROUGH, STEP = 0.018, 0.0045  # between the crops that are tried on all of the nearest, and on the best of them
CLOSE = 4.0  # how many times a copy's limit the best may leave for STEP to be tried
RATIO, FARTHEST = 0.25, 2.0  # of what the others leave, up to so many limits: what a copy may leave where they are far
PARTS = 8  # of the images, each of which gives its nearest
PRODUCTS = 2**20  # of small images at a time
BLOCK = 1024


class Blocks(Protocol):
    """Images [N, H, W, C], read in blocks."""

    def split(self, size: int) -> Iterable[Tensor]:
        """Give blocks of at most `size` images."""
        ...


class Pair(NamedTuple):
    """Two rows of images, the later one first, and a ratio below 1, smaller for what is surer.

    ratio: what one image leaves of the other, as a share of what alterations leave at most.
    """

    row: int
    other: int
    ratio: float


def memory_of(count: int) -> int:
    """Bytes that `near_copies` holds of so many images: grey, sampled, and small."""
    return count * (2 * LARGEST**2 + 2 * SAMPLES**2 + 4 * SIDE**2)


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

    The images that are nearest to an image at SIDE × SIDE, cropped by each of CROPS, are looked at closely: see
    `aligned`. The best of each crop is its copy if the image leaves no more of it than alterations do, or up to twice
    that where it leaves four times as much of the others. Uniform images are left out.

    images: uint8 [N, H, W, C].
    progress: called with the number of images done and of all.
    """
    grey = torch.cat([grey_images(block) for block in images.split(BLOCK)])
    fine = torch.cat([sampled(block, SAMPLES, 0.0, BLUR).half() for block in grey.split(BLOCK)])
    count = max(1, min(PARTS, len(grey) // 2))
    parts = [_small(grey[part::count], 0.0) for part in range(count)]
    products = torch.empty(max(PRODUCTS, len(parts[0])))
    found: dict[tuple[int, int], float] = {}
    for rows in torch.arange(len(grey)).split(max(1, PRODUCTS // len(parts[0]))):
        for crop in CROPS:
            others = _nearest(_small(grey[rows], crop), rows, parts, products)
            score, other = _best(grey[rows], fine, others, crop)
            for at in (score < 1).nonzero()[:, 0].tolist():
                row, near = int(rows[at]), int(other[at])
                if near != row:  # as in a set of one
                    pair = max(row, near), min(row, near)
                    found[pair] = min(float(score[at]), found.get(pair, 1.0))
        if progress:
            progress(int(rows[-1]) + 1, len(grey))
    return [Pair(*pair, ratio) for pair, ratio in found.items()]


def _small(grey: Tensor, crop: float) -> Tensor:
    """Bring images to SIDE × SIDE, of mean 0 and length 1: float32 [N, SIDE²]."""
    blur = max(grey.shape[1:]) / SIDE / 2
    return normalize(torch.cat([sampled(block, SIDE, crop, blur) for block in grey.split(BLOCK)]))


def _nearest(queries: Tensor, rows: Tensor, parts: list[Tensor], memory: Tensor) -> Tensor:
    """Find the image of each part that is nearest to each query, other than itself: its row, [N, P].

    The image i of part p is row i · P + p.
    """
    found, count = [], len(parts)
    for number, part in enumerate(parts):
        products = memory[: len(queries) * len(part)].view(len(queries), len(part))
        torch.mm(queries, part.T, out=products)
        own = (rows % count == number).nonzero()[:, 0]
        products[own, rows[own] // count] = -1.0
        found.append(products.max(1).indices * count + number)
    return torch.stack(found, 1)


def _best(grey: Tensor, fine: Tensor, others: Tensor, crop: float) -> tuple[Tensor, Tensor]:
    """Find which of others, [N, K], is the likeliest copy of each image, cropped about so much; and its ratio: [N].

    Where the others are far, a copy may be farther than it may among look-alikes: this is the ratio test of D. Lowe,
    "Distinctive Image Features from Scale-Invariant Keypoints", IJCV 2004.
    """
    scores = ratios(grey, fine[others].float(), _crops(crop, ROUGH))
    (score, place), usual = scores.min(1), scores.median(1).values
    other = others.gather(1, place[:, None])
    close = (score < CLOSE).nonzero()[:, 0]
    if len(close):
        score[close] = ratios(grey[close], fine[other[close]].float(), _crops(crop, STEP))[:, 0]
    return score / (RATIO * usual).clamp(1, FARTHEST), other[:, 0]


def _crops(middle: float, step: float) -> tuple[float, ...]:
    """List the crops around one, up to ROUGH from it."""
    count = round(ROUGH / step)
    return tuple(middle + step * number for number in range(-count, count + 1) if middle + step * number >= 0)

"""How "auto" standardises the pixels: affine, so that the exported graph carries it at no cost."""

import torch
from torch import Tensor

from .data.dataset import Split
from .data.mapped import Images
from .distributed import ALONE, Group
from .solvers.auto import sample_size

ROWS = 256  # whose sums of squares, at most 255² · 256, float32 holds exactly
LEAST_SHARE = 0.05  # of the common deviation, in place of a smaller one
LEAST_VARYING = 0.25  # of the squares, between images rather than in their mean


def scaling(train: Split, group: Group = ALONE, *, common_alone: bool = False) -> tuple[Tensor, Tensor]:
    """Centre and scale of each pixel value: two float32 [H, W, C], in units of 0-255.

    The centre is the value's mean over the images or, where there are many, that of its channel: minibatch gradient
    descent generalises better with it, unless most of what is left is the mean image, the same in all images. The scale
    is the geometric mean of the value's own deviation from the centre, but at least a twentieth of the common one, and
    of the common one, the root of the mean square; 1 where nothing varies.

    group: the processes that compute it together.
    common_alone: whether the scale is the common one: of a network's features, those that vary little tell little.
    """
    mean, squares = moments(train.images, group)
    channel = mean.mean((0, 1)).expand_as(mean)
    own, about = ((squares - mean**2).clamp_(min=0), (squares - 2 * channel * mean + channel**2).clamp_(min=0))
    centre = mean
    if sample_size(train) < len(train) and own.mean() > LEAST_VARYING * about.mean():
        centre, own = channel, about
    common = own.mean().sqrt()
    if common_alone:
        return centre.float().contiguous(), torch.full_like(own, common or 1.0).float()
    scale = (own.sqrt().clamp(min=LEAST_SHARE * common) * common).sqrt() if common > 0 else torch.ones_like(own)
    return centre.float().contiguous(), scale.float()


def standardisation(train: Split, group: Group = ALONE) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each feature, 1 where it does not vary: two float32 [1, 1, D]."""
    mean, squares = moments(train.images, group)
    std = (squares - mean**2).clamp_(min=0).sqrt_()
    return mean.float(), torch.where(std > 0, std, 1.0).float()


def moments(images: Images, group: Group = ALONE) -> Tensor:
    """Mean and mean square of each pixel value: uint8 [N, H, W, C] → float64 [2, H, W, C]; of each feature likewise.

    Sums of pixels are of whole numbers, and exact for any number of images and processes.
    """
    exact = torch.float64 if images.dtype.is_floating_point else torch.float32
    sums = torch.zeros(2, *images.shape[1:], dtype=torch.float64)
    for start in range(group.rank * ROWS, len(images), group.size * ROWS):
        values = images[start : start + ROWS].to(exact)
        sums[0] += values.sum(0).to(sums)
        sums[1] += values.square_().sum(0).to(sums)
    return group.sum(sums) / len(images)

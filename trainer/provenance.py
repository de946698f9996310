"""What a checkpoint carries beside the weights: pixel statistics, a training sample, golden examples, provenance."""

from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .config import Choice, FitConfig
from .data.dataset import Dataset, Split
from .data.mapped import Images
from .distributed import ALONE, Group
from .softmax_regression import Model

STATISTICS_BLOCK = 2**22
GOLDEN_COUNT = 16
GOLDEN_BYTES = 64 * 2**10
SAMPLE_COUNT = 1024
SAMPLE_ROWS = 32
SAMPLE_BYTES = 2**20


def pixel_statistics(images: Images, group: Group = ALONE) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel: uint8 [N, H, W, C] → two float32 [C], in units of 0-255.

    Counted value by value, so that the result is exact for any number of images. A constant channel gets the standard
    deviation 1.

    group: the processes that count together, each a part of the same images.
    """
    counts = torch.zeros(images.shape[3], 256, dtype=torch.int64)
    size = max(1, STATISTICS_BLOCK // images.shape[1:].numel())
    for start in range(group.rank * size, len(images), group.size * size):
        channels = images[start : start + size].unbind(3)
        counts += torch.stack([channel.flatten().bincount(minlength=256) for channel in channels])
    counts = group.sum(counts)
    values = torch.arange(256, dtype=torch.float64)
    shares = counts.double() / counts.sum(dim=1, keepdim=True)  # [C, 256]
    mean = shares @ values
    std = (shares @ values**2 - mean**2).clamp_(min=0).sqrt_()
    return mean.float(), torch.where(std > 0, std, 1.0).float()


def balanced_class_weights(train: Split, classes: int) -> Tensor:
    """N / (K · images of the class) for each class: float32 [K], scikit-learn's "balanced"."""
    counts = train.targets.bincount(minlength=classes).clamp(min=1).double()
    return (len(train) / (classes * counts)).float()


def training_sample(train: Split, seed: int) -> NDArray[np.uint8]:
    """Draw some training images: uint8 [S, H, W, C], at most 1 MiB, in the order of the split.

    Of images with features at least 32, as the graph of these is compared on real images alone.
    """
    least = 1 if train.features is None else SAMPLE_ROWS
    count = max(1, min(len(train), SAMPLE_COUNT, max(least, SAMPLE_BYTES // train.images.shape[1:].numel())))
    drawn = np.random.default_rng(seed).choice(len(train), count, replace=False)
    rows = torch.from_numpy(np.sort(drawn))
    return torch.cat([train.images[few] for few in rows.split(SAMPLE_ROWS)]).numpy()


def golden_examples(model: Model, split: Split) -> dict[str, Any]:
    """Choose a few images, the first of each class as far as they fit, and compute the model's probabilities.

    Returns golden_images, uint8 [G, H, W, C], and golden_probabilities, float32 [G, K].
    """
    room = max(2, min(GOLDEN_COUNT, GOLDEN_BYTES // split.images.shape[1:].numel()))
    firsts = [int((split.targets == target).nonzero()[0]) for target in split.targets.unique()[:room].tolist()]
    rows = torch.tensor(firsts)
    probabilities = model.probabilities(split.inputs.images[rows])
    return {"golden_images": split.images[rows].numpy(), "golden_probabilities": probabilities.numpy()}


def about(data: Dataset) -> dict[str, Any]:
    """Name a data set, and count its images."""
    return {
        "name": data.name,
        "train_images": len(data.train),
        **({"val_images": len(data.val)} if data.val else {}),
        "test_images": len(data.test),
    }


def provenance(
    data: Dataset,
    training_fingerprints: str,
    config: FitConfig,
    figures: dict[str, float],
    *,
    choice: Choice | None = None,
    start: str | None = None,
) -> dict[str, Any]:
    """Say where a model comes from, ready for JSON: data set, final figures, settings, what was found, versions.

    start: digest of the checkpoint that the fit started from.
    """
    return {
        "data": about(data),
        "fingerprints": training_fingerprints,
        **({"features": data.features.to_json()} if data.features else {}),
        "figures": figures,
        "settings": asdict(config),
        **({"start": start} if start else {}),
        **({"choice": choice.to_json()} if choice else {}),
        "versions": {package: version(package) for package in ("numpy", "softmax-kit", "torch")},
    }

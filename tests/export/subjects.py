"""Classifiers that are modules of torch, to export."""

import copy
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from PIL import Image

import runtime
from export import ExportReport
from export.formats import torchscript
from export.gate.parity import Artefact
from runtime import ImageContract

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's

Write = Callable[..., ExportReport]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A module and what is said about it."""

    network: torch.nn.Module
    about: dict[str, Any]

    @property
    def image(self) -> ImageContract:
        image: ImageContract = self.about["image"]
        return image

    def normalised(self, pixels: Pixels) -> torch.Tensor:
        """uint8 [N, H, W, C] → float32 [N, C, H, W]."""
        mean, std = (torch.tensor(self.about.get(name, [plain])) for name, plain in (("mean", 0.0), ("std", 1.0)))
        x = torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2) / 255
        return (x - mean[:, None, None]) / std[:, None, None]

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """torch's own answer, eager, in float32: uint8 [N, H, W, C] → [N, K]."""
        with torch.no_grad():
            logits = copy.deepcopy(self.network).eval()(self.normalised(pixels))
        result: NDArray[np.float32] = logits.softmax(1).numpy()
        return result


def pictures(image: ImageContract, count: int = 16, seed: int = 0) -> Pixels:
    """Smooth images; on noise, networks say the same for every image."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, image.channels), np.uint8)
    smooth = [
        Image.fromarray(picture.squeeze()).resize((image.width, image.height), Image.Resampling.BICUBIC)
        for picture in coarse
    ]
    return np.stack([np.asarray(picture).reshape(image.shape) for picture in smooth])


def with_statistics(subject: Subject) -> Subject:
    """Give the batch norms random weights, and the statistics that go with them."""
    for layer in subject.network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias, std=0.1)
            layer.momentum = None  # an average over all, which is one batch
    with torch.no_grad():
        subject.network(subject.normalised(pictures(subject.image, seed=1)))
    return subject


def mobilenet() -> Subject:
    torch.manual_seed(0)
    network = torchvision.models.mobilenet_v3_small(weights=None, num_classes=5)
    torch.nn.init.normal_(network.classifier[-1].weight, std=0.5)
    image = ImageContract(height=64, width=64, color="RGB")
    about = {"labels": ("a", "b", "c", "d", "e"), "image": image, "mean": MEAN, "std": STD}
    return with_statistics(Subject(network=network, about=about))


def colour() -> Subject:
    torch.manual_seed(0)
    image = ImageContract(height=12, width=10, color="RGB")
    about = {"labels": ("p", "q", "r"), "image": image, "mean": MEAN, "std": STD}
    return with_statistics(Subject(network=few_layers(image.channels), about=about))


def greyscale() -> Subject:
    torch.manual_seed(0)
    image = ImageContract(height=12, width=10)
    return with_statistics(
        Subject(network=few_layers(image.channels), about={"labels": ["x", "y", "z"], "image": image})
    )


def few_layers(channels: int) -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Conv2d(channels, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Dropout(),
        torch.nn.Linear(16, 3),
    )


def open_artefact(path: Path) -> Artefact:
    """Open a file of either format with what users run it with."""
    return torchscript.open_artefact(path) if zipfile.is_zipfile(path) else runtime.load(path)

"""The models of a checkpoint as modules of torch, on raw pixels."""

import numpy as np
import torch
from torch import Tensor

from trainer.checkpoint import Features

from .arithmetic.centre import Centred
from .arithmetic.fold import Folded, Numbers
from .arithmetic.head import Head
from .errors import ExportError
from .features.graph import model_of
from .features.operators import UntranslatedError
from .features.translate import translated


class SoftmaxRegression(torch.nn.Module):
    """The folded model: uint8 [N, H, W, C] → float32 [N, K]."""

    weights: Tensor
    bias: Tensor

    def __init__(self, numbers: Folded) -> None:
        super().__init__()
        self.register_buffer("weights", torch.from_numpy(numbers.weights))
        self.register_buffer("bias", torch.from_numpy(numbers.bias))

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [N, H, W, C] → float32 [N, K]."""
        features = images.flatten(1).to(torch.float32)
        return torch.softmax(torch.addmm(self.bias, features, self.weights), dim=1)


class CentredSoftmaxRegression(torch.nn.Module):
    """The same for images of low contrast: uint8 [N, H, W, C] → float32 [N, K]."""

    centre: Tensor
    multiples: Tensor
    step: Tensor
    rest: Tensor
    bias: Tensor

    def __init__(self, numbers: Centred) -> None:
        super().__init__()
        self.register_buffer("centre", torch.from_numpy(numbers.centre.astype(np.float32)))
        self.register_buffer("multiples", torch.from_numpy(numbers.multiples))
        self.register_buffer("step", torch.from_numpy(numbers.step))
        self.register_buffer("rest", torch.from_numpy(numbers.rest))
        self.register_buffer("bias", torch.from_numpy(numbers.bias))

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [N, H, W, C] → float32 [N, K]."""
        features = (images.to(torch.float32) - self.centre).flatten(1)
        sums = features @ self.multiples
        behind = sums - sums.amax(dim=1, keepdim=True)
        return torch.softmax(behind * self.step + torch.addmm(self.bias, features, self.rest), dim=1)


class OnFeatures(torch.nn.Module):
    """The model on features: uint8 [N, H, W, C] → probabilities, float32 [N, K], and features, float32 [N, D]."""

    centre: Tensor
    weights: Tensor
    bias: Tensor

    def __init__(self, numbers: Head) -> None:
        super().__init__()
        self.features = _graph(numbers.features)
        self.register_buffer("centre", torch.from_numpy(numbers.centre))
        self.register_buffer("weights", torch.from_numpy(numbers.weights))
        self.register_buffer("bias", torch.from_numpy(numbers.bias))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [N, H, W, C] → float32 [N, K] and [N, D]."""
        features = self.features(images)
        logits = torch.addmm(self.bias, features - self.centre, self.weights)
        return torch.softmax(logits, dim=1), features


def softmax_regression(numbers: Numbers) -> torch.nn.Module:
    """Return the module that computes with these numbers. Raises ExportError for features that torch cannot compute."""
    if isinstance(numbers, Head):
        return OnFeatures(numbers)
    return CentredSoftmaxRegression(numbers) if isinstance(numbers, Centred) else SoftmaxRegression(numbers)


def _graph(features: Features) -> torch.nn.Module:
    if features.about.get("own"):
        raise ExportError(
            f"expected a features graph of softmax-kit's own for a format of torch, found {features.name!r}, which is "
            "an ONNX file of yours: export to onnx"
        )
    try:
        return translated(model_of(features))
    except UntranslatedError as error:
        raise ExportError(
            f"expected a features graph that torch computes too, found {error} in {features.name!r}: export to onnx"
        ) from None

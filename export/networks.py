"""The model of a checkpoint as a module of torch, on raw pixels."""

import torch
from torch import Tensor

from trainer.data.features import Features

from .arithmetic.centre import Centred
from .arithmetic.fold import Numbers
from .arithmetic.head import Head
from .errors import ExportError
from .features.graph import model_of
from .features.operators import UntranslatedError
from .features.translate import translated
from .raw_pixels import CentredSoftmaxRegression, SoftmaxRegression


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

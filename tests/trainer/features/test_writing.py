import pytest
import torch
from torch import Tensor, nn

from trainer.features.writing import write


class Functional(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.erf(x)


class Method(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.GELU()), "net: a GELU at 0"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(2)), "net: a AdaptiveAvgPool2d at 0"),
        (Functional(), "net: a erf"),
        (Method(), "net: call_method mean"),
    ],
)
def test_an_operator_that_cannot_be_written(network: nn.Module, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        write(network, "net", image_size=8, mean=[0.0], scale=[1.0])

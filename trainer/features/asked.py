"""What features are asked for, and the graph that a module makes of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from runtime.image import ImageContract

from ..data.mapped import Images
from .kinds import FeatureSettings


class Asked(NamedTuple):
    """What a module makes a graph for.

    name: of the features, or the path of a file.
    images: the training images, uint8 [N, H, W, C].
    image: their contract.
    seed: random seed.
    """

    name: str
    images: Images
    image: ImageContract
    settings: FeatureSettings
    seed: int


class Graph(NamedTuple):
    """A features graph, with what a checkpoint says of it.

    data: an ONNX file, input `images` uint8 [N, H, W, C], output `features` float32 [N, D]; it normalises the pixels.
    size: numbers that it makes of an image, D.
    about: where it comes from, JSON: its weights' digest, licence and source, and the pixels' mean and scale.
    """

    data: bytes
    size: int
    about: Mapping[str, Any]

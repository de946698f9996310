"""What features are asked for."""

from typing import NamedTuple

from runtime.image import ImageContract

from ..data.mapped import Images
from ..errors import ConfigError
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


def square_side(asked: Asked) -> int:
    """Height and width of the images. Raises ConfigError where they differ."""
    image = asked.image
    if image.height != image.width:
        raise ConfigError(
            f"features: expected images as high as wide for {asked.name}, found {image.height} × {image.width}: "
            "use --image-size"
        )
    return image.height

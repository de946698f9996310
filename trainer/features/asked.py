"""What features are asked for."""

from typing import NamedTuple

from runtime.image import ImageContract

from ..data.mapped import Images
from ..errors import ConfigError
from .kinds import FeatureSettings

LEAST_SIDE = 32  # of images for a network, which halves their sides five times


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


def network_side(asked: Asked) -> int:
    """`square_side` for a network that has a name. Raises ConfigError for less than 32 too."""
    side = square_side(asked)
    if side < LEAST_SIDE:
        raise ConfigError(
            f"features: expected images of at least {LEAST_SIDE} × {LEAST_SIDE} pixels for {asked.name}, found "
            f"{side} × {side}: raise --image-size"
        )
    return side

"""The kinds of features, a row each, and their settings. Needs no torch."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from ..data.features import COMMON, OWN
from ..errors import ConfigError

PIXELS = "pixels"
LAYOUTS = ("NCHW", "NHWC")
FILTERS, LEAST_FILTERS, MOST_FILTERS = 256, 2, 4096  # of patches: by default, at least, at most
OPTIONS = {"filters": "--filters", "mirror": "--mirror"}  # others are --features-<field>


class Kind(NamedTuple):
    """Features that have a name.

    module: of this package.
    size, color: of images, by default; None for the data set's.
    scaling: of the features, which had the lower loss on images held out of the training images.
    """

    module: str
    size: int | None = None
    color: str | None = None
    scaling: str = COMMON


KINDS = {
    "patches": Kind("patches", scaling=OWN),
    "efficientnet_lite0": Kind("efficientnet_lite0", 224, "RGB"),
    **{
        name: Kind("torchvision_models", 224, "RGB")
        for name in ("mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0", "resnet18")
    },
}


@dataclass(frozen=True, kw_only=True)
class FeatureSettings:
    """Settings of features; each applies to some of them, and is refused by the others.

    filters: of patches.
    weights: a file with the weights of a network, in place of its own.
    download: whether to download a network's own weights where they are not at hand.
    output: which output of a user's ONNX file.
    layout, mean, scale: of the pixels that it takes; all three for an input of floats, (pixel − mean) / scale in the
        layout "NCHW" or "NHWC".
    mirror: whether to fit to the training images' mirror images too; for any features but pixels.
    """

    filters: int | None = None
    weights: Path | None = None
    download: bool = False
    output: str | None = None
    layout: str | None = None
    mean: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None
    mirror: bool = False

    def __post_init__(self) -> None:
        if self.filters is not None and not LEAST_FILTERS <= self.filters <= MOST_FILTERS:
            raise ConfigError(f"filters: expected {LEAST_FILTERS} to {MOST_FILTERS:,}, found {self.filters!r}")

    def only(self, name: str, *fields: str) -> "FeatureSettings":
        """Refuse settings other than these fields. Raises ConfigError."""
        others = [field for field, value in asdict(self).items() if value not in (None, False) and field not in fields]
        if others:
            option = OPTIONS.get(others[0], f"--features-{others[0]}")
            raise ConfigError(f"{option}: expected none for the features {name}, found one: leave it out")
        return self

"""Networks of torchvision without their classifiers; the weights, pixel mean and std are those of its weights enums.

Compared with torch with made-up weights alone: of the networks of this package, only EfficientNet-Lite0 has been tried
with real ones.
"""

import os
import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from runtime.errors import needs_extra
from runtime.text import note, one_line

from ..data.features import UNSTATED
from ..errors import ConfigError, DataError
from .asked import Asked, network_side
from .graph import Graph, checked_size
from .weights import Weights, load_weights, read_weights
from .writing import write

SIZE = 224
HEADS = {  # the classifier of each network
    "efficientnet_b0": "classifier",
    "mobilenet_v3_large": "classifier",
    "mobilenet_v3_small": "classifier",
    "resnet18": "fc",
}
LICENCE = UNSTATED  # torchvision: they "may have their own licenses or terms and conditions"


def graph(asked: Asked) -> Graph:
    """Write the features graph for the images of a data set, as `build` does."""
    settings = asked.settings.only(asked.name, "weights", "download")
    side = network_side(asked)
    return build(asked.name, image_size=side, weights=settings.weights, download=settings.download)


def build(name: str, *, image_size: int = SIZE, weights: Path | None = None, download: bool = False) -> Graph:
    """Write the features graph of a network, for images [image_size, image_size, 3]; D is what its pooling gives.

    name: out of `HEADS`.
    weights: a file in place of torchvision's own weights, which are looked for in its cache.
    download: whether to download these where they are not there.
    Raises DataError, ConfigError, and MissingExtraError where torchvision is not installed.
    """
    models = _torchvision_models()
    preset = models.get_model_weights(name).DEFAULT
    found = _own_weights(name, preset, download=download) if weights is None else read_weights(weights)
    network = models.get_model(name, weights=None)
    setattr(network, HEADS[name], nn.Identity())
    load_weights(network, found, name, head=f"{HEADS[name]}.")
    transform = preset.transforms()
    mean, scale = ([255 * value for value in values] for values in (transform.mean, transform.std))
    data = write(network, name, image_size=image_size, mean=mean, scale=scale)
    about = found.about(LICENCE, f"torchvision, {preset}") if weights is None else found.about()
    shape = (image_size, image_size, len(mean))
    size = checked_size(data, shape, name)
    return Graph(data, size, {"weights": about, "image": list(shape), "mean": mean, "scale": scale})


def _own_weights(name: str, preset: Any, *, download: bool) -> Weights:
    """Read torchvision's weights from its cache; the end of a file's name is the beginning of its digest."""
    path = Path(torch.hub.get_dir(), "checkpoints", os.path.basename(preset.url))  # noqa: PTH119 - of a URL
    match = re.search(r"-([0-9a-f]{8,})\.pth$", path.name)
    prefix = match[1] if match else ""
    if not path.exists():
        if not download:
            raise DataError(
                f"{name}: expected its weights in {path}, found no such file: copy {preset.url} there, name a file "
                "with --features-weights, or use efficientnet_lite0, whose weights a package has"
            )
        note(f"{name}: not in {path.parent}, downloading {preset.url} there")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(preset.url, str(path), prefix, progress=False)
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"{name}: expected to download {preset.url}, and could not ({one_line(error)}): copy it to {path}, or "
                "name a file with --features-weights"
            ) from None
    return read_weights(path, digest=f"sha256:{prefix}")


def _torchvision_models() -> Any:
    with needs_extra("train", "features of torchvision"):
        try:
            from torchvision import models
        except RuntimeError as error:
            raise ConfigError(
                f"expected a matching pair of torch and torchvision, found torch {torch.__version__} and a torchvision "
                f"made for another ({one_line(error)}): pip install --upgrade torch torchvision"
            ) from None
    return models

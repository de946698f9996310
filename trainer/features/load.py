"""`load_features`: a data set whose images have features."""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from runtime.errors import needs_extra

from ..data.cache import default_cache_dir
from ..data.dataset import Dataset, Split
from ..data.features import COMMON, Features
from ..distributed import ALONE, Group
from ..errors import ConfigError
from .asked import Asked
from .extraction import extract
from .graph import Graph
from .kinds import KINDS, PIXELS, FeatureSettings


def load_features(
    data: Dataset,
    name: str | os.PathLike[str],
    settings: FeatureSettings | None = None,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    group: Group = ALONE,
) -> Dataset:
    """Compute the features of a data set's images, for `fit`; they are kept in the cache.

    name: "pixels" for none; a name out of `KINDS`; or the path of an ONNX file.
    seed: random seed of features that are learned.
    progress: called with the number of images done so far, and of all.
    group: the processes that call it with the same data; those of a machine compute a share each.
    Returns the same data set with features. Raises DataError, ConfigError, and MissingExtraError.
    """
    given, settings = os.fspath(name), settings or FeatureSettings()
    if given == PIXELS:
        settings.only(PIXELS)
        return data
    asked = Asked(given, data.train.images, data.contract, replace(settings, mirror=False), seed)
    graph = group.in_turn(partial(_graph, asked))
    shown = given if given in KINDS else Path(given).name
    about = {"scaling": KINDS[given].scaling if given in KINDS else COMMON, **graph.about}
    about |= {"mirror": True} if settings.mirror else {}
    features = Features(shown, graph.size, np.frombuffer(graph.data, np.uint8), about)
    parts = {"train": data.train, "val": data.val, "test": data.test}
    copies = {"train": 2 if settings.mirror else 1}
    images, done = sum(len(split) * copies.get(part, 1) for part, split in parts.items() if split), 0
    found: dict[str, Any] = {}
    for part, split in parts.items():
        if split is None:
            continue
        count = copies.get(part, 1)
        tell = partial(_told, progress, done, len(split) * count, images) if progress else None
        extracted = extract(
            split.images, features, cache_dir=default_cache_dir(), progress=tell, mirror=count > 1, group=group
        )
        found[part] = Split(split.images, split.targets, extracted, count)
        done += len(extracted)
    return replace(data, image=data.contract, features=features, **found)


def _graph(asked: Asked) -> Graph:
    kind = KINDS.get(asked.name)
    if kind is None and not asked.name.lower().endswith(".onnx"):
        raise ConfigError(
            f"features: expected {PIXELS}, {', '.join(KINDS)} or an .onnx file, found {asked.name!r}: choose one"
        )
    if kind and kind.color and asked.image.color != kind.color:
        raise ConfigError(
            f"features: expected {kind.color} images for {asked.name}, found {asked.image.color}: use --color "
            f"{kind.color}"
        )
    with needs_extra("features", f"the features {asked.name}"):
        module = import_module(f"{__package__}.{kind.module if kind else 'own'}")
    graph: Graph = module.graph(asked)
    return graph


def _told(progress: Callable[[int, int], None], before: int, part: int, images: int, done: int, share: int) -> None:
    """Tell of a share of a part as of the whole part."""
    progress(before + part * done // share, images)

"""The model that a fit starts from: anew, or from another fit's weights."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch

from .checkpoint import Checkpoint
from .config import FitConfig
from .data.dataset import Dataset, Split
from .data.features import COMMON, Features, same_features
from .distributed import ALONE, Group
from .errors import ConfigError
from .provenance import pixel_statistics
from .scaling import scaling, standardisation
from .softmax_regression import Model, initialise


def initial_model(
    train: Split, classes: int, config: FitConfig, group: Group = ALONE, *, features: Features | None = None
) -> Model:
    """Make the model of a fit.

    For "auto", weights of 0 and a centre and scale of each pixel; else random weights and the pixels' statistics, or
    those of each feature.

    train: what the regression is fitted to, `Split.inputs`.
    features: whose values these are; None for pixels.
    """
    if config.solver == "auto":
        common_alone = features is not None and features.about.get("scaling") == COMMON
        centre, scale = scaling(train, group, common_alone=common_alone)
        return Model(weights=torch.zeros(classes, train.dimension), bias=torch.zeros(classes), mean=centre, std=scale)
    weights, bias = initialise(train.dimension, classes, torch.Generator().manual_seed(config.seed))
    floats = train.images.dtype.is_floating_point
    mean, std = standardisation(train, group) if floats else pixel_statistics(train.images, group)
    return Model(weights=weights, bias=bias, mean=mean, std=std)


def take_over(checkpoint: Checkpoint, model: Model, data: Dataset) -> Model:
    """Replace the weights and biases of the labels that a checkpoint has; the others keep theirs.

    The logits of any image are the checkpoint's: x ↦ W·(x − c)/s + b is written with the model's own c′ and s′, as
    W′ = W·s′/s and b′ = b + W·(c′ − c)/s. Raises ConfigError where no label is the same, or the image differs.

    data: what the model is to be fitted to.
    """
    labels = data.labels
    _check(checkpoint, data)
    known = [label for label in labels if label in checkpoint.labels]
    old, new = ([names.index(label) for label in known] for names in (checkpoint.labels, labels))
    centre, scale = map(torch.from_numpy, checkpoint.scaling())  # float64 [D] each
    shape = data.train.inputs.images.shape[1:]
    mean, std = (part.double().expand(shape).flatten() for part in (model.mean, model.std))
    slopes = torch.from_numpy(checkpoint.weights).double().T[old] / scale  # [k, D], of each raw pixel value
    biases = torch.from_numpy(checkpoint.bias).double()[old] + slopes @ (mean - centre)  # [k]
    weights, bias = model.weights.clone(), model.bias.clone()
    weights[new], bias[new] = (slopes * std).float(), biases.float()
    return replace(model, weights=weights, bias=bias)


def _check(checkpoint: Checkpoint, data: Dataset) -> None:
    labels, image = data.labels, data.contract
    if not same_features(checkpoint.features, data.features):
        ours, theirs = (found.name if found else "pixels" for found in (data.features, checkpoint.features))
        found = f"others of the name {theirs}" if ours == theirs else theirs
        raise ConfigError(
            f"expected a model of the same features to start from, {ours}, found one of {found}: use the same "
            "--features, or train without --from"
        )
    if checkpoint.image != image:
        then, now = asdict(checkpoint.image), asdict(image)
        other = [name for name in then if then[name] != now[name]]
        if {"color", "fit"} & set(other):
            other = [name for name in other if name != "fill"]  # which goes with them
        expected, found = (", ".join(f"{name} {of[name]}" for name in other) for of in (then, now))
        raise ConfigError(
            f"expected images like those of the model to start from, with {expected}, found {found}: "
            f"use {_options(then, other)}, or train without --from"
        )
    if not set(labels) & set(checkpoint.labels):
        raise ConfigError(
            f"expected at least one label of the model to start from, such as {checkpoint.labels[0]!r}, "
            f"found others, such as {labels[0]!r}: train without --from"
        )


def _options(image: Mapping[str, Any], names: Sequence[str]) -> str:
    """Name the options that bring images to those of the model, for what differs."""
    options = [f"--{name} {image[name]}" for name in ("color", "fit", "shift") if name in names]
    if {"height", "width"} & set(names):
        square = image["height"] == image["width"]
        options.insert(0, f"--image-size {image['height']}" if square else "images of that size")
    return " and ".join(options) or "images that are read like those"

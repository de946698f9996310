"""Finds another decision for a finished model: on the images that its fit held out, or on others."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from runtime.data.fingerprints import fingerprint, read_fingerprints
from runtime.data.labels import check_distinct

from ..checkpoint import Checkpoint
from ..errors import CheckpointError, DataError
from .concluding import logits_of, with_decision
from .deciding import Decided, decide
from .demands import Demands

if TYPE_CHECKING:
    from ..data.dataset import Dataset, Split


def calibrate(
    checkpoint: Checkpoint, demands: Demands | None = None, *, data: "Dataset | None" = None
) -> tuple[Checkpoint, Decided]:
    """Find temperature, bias, thresholds and prediction sets anew; a familiarity score stays.

    checkpoint: of a finished fit.
    demands: what the accepted answers have to keep to; None for no threshold.
    data: images to find them on, all parts of it; None for those that the fit held out.
    Returns the checkpoint with the decision, and what was found, with the demands that the images do not suffice for.
    Raises CheckpointError for an unfinished fit and for one that held none out, ConfigError for other labels than the
    model's, and DataError for data that the model was trained on or that does not fit.
    """
    demands = demands or Demands()
    demands.check(checkpoint.labels)
    if checkpoint.progress is not None:
        raise CheckpointError("expected the checkpoint of a finished fit, found an unfinished one: resume it first")
    logits, targets = _held_out(checkpoint) if data is None else _of_data(checkpoint, data)
    if len(targets) < 2:
        raise DataError(f"expected at least 2 images to calibrate on, found {len(targets)}: name other data")
    found = decide(logits, targets, checkpoint.labels, demands, seed=_seed(checkpoint))
    return with_decision(checkpoint, found, logits, targets, test=None), found


def load_images(checkpoint: Checkpoint, name: str, data_dir: Path | None) -> "Dataset":
    """Load a data set as a checkpoint's image contract has it. Raises DataError.

    name: as for `kit train --data`.
    data_dir: folder of torchvision's data sets; None for the default.
    """
    from ..data.load import load_data

    return load_data(name, data_dir=data_dir, contract=checkpoint.image, seed=_seed(checkpoint))


def _held_out(checkpoint: Checkpoint) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    logits, targets = checkpoint.held_out_logits, checkpoint.held_out_targets
    if logits is None or targets is None:
        raise CheckpointError(
            "expected a fit that held images out, found one without: train again with --calibrate, or name other "
            "images with --data"
        )
    return logits, targets


def _of_data(checkpoint: Checkpoint, data: "Dataset") -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Compute the logits of all images of a data set, with targets in the order of the model's labels."""
    places, ours = _places(checkpoint, data), read_fingerprints(checkpoint.provenance.get("fingerprints"))
    logits, targets = [], []
    for part in (data.train, data.val, data.test):
        if part is None:
            continue
        if any(fingerprint(image) in ours for block in part.images.split(256) for image in block.numpy()):
            raise DataError(
                f"{data.name}: expected images that the model was not trained on, found training images: name others"
            )
        logits.append(logits_of(checkpoint, _with_features(checkpoint, part)))
        targets.append(places[part.targets.numpy()])
    return np.concatenate(logits), np.concatenate(targets)


def _with_features(checkpoint: Checkpoint, part: "Split") -> "Split":
    if checkpoint.features is None:
        return part
    from ..data.cache import default_cache_dir
    from ..features.extraction import extract

    return replace(part, features=extract(part.images, checkpoint.features, cache_dir=default_cache_dir()))


def _places(checkpoint: Checkpoint, data: "Dataset") -> NDArray[np.int64]:
    """Find each of the data set's labels among the model's. Raises DataError where it has others, or other images."""
    ours = checkpoint.labels
    if others := [label for label in data.labels if label not in ours]:
        check_distinct(data.name, {"the model": [one for one in ours if one not in data.labels], "the data": others})
        raise DataError(
            f"{data.name}: expected some of the model's labels {', '.join(map(repr, ours[:3]))}, …, found also "
            f"{others[0]!r}: rename these, or leave them out"
        )
    if data.contract.shape != checkpoint.image.shape:
        raise DataError(
            f"{data.name}: expected images of {' × '.join(map(str, checkpoint.image.shape))}, found "
            f"{' × '.join(map(str, data.contract.shape))}: load them with the checkpoint's contract"
        )
    return np.array([ours.index(label) for label in data.labels], np.int64)


def _seed(checkpoint: Checkpoint) -> int:
    settings = checkpoint.provenance.get("settings")
    seed = settings.get("seed") if isinstance(settings, dict) else None
    return seed if isinstance(seed, int) and 0 <= seed < 2**63 else 0

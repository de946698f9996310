"""What a run that was saved must have in common with one that is to resume it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from .checkpoint import Checkpoint
from .config import FitConfig
from .data.dataset import Dataset
from .data.features import same_features
from .distributed import ALONE, Group
from .errors import CheckpointError, ConfigError
from .parts import parts_of
from .provenance import about, pixel_statistics

Statistics = tuple[Tensor, Tensor]
EARLIER = {"calibrate": False, "familiarity": False}  # settings that older checkpoints do not have


def as_before(config: FitConfig, resume: Checkpoint | None) -> FitConfig:
    """Take over from an unfinished fit how it shuffles and whether it holds out images, where the settings are open."""
    settings = resume.provenance.get("settings") if resume else None
    if not isinstance(settings, dict):
        return config
    window, calibrate = settings.get("shuffle_window"), settings.get("calibrate", EARLIER["calibrate"])
    if config.shuffle_window is None and isinstance(window, int) and window > 0:
        config = replace(config, shuffle_window=window)
    if config.calibrate is None and isinstance(calibrate, bool):
        config = replace(config, calibrate=calibrate)
    return config


def check_same(checkpoint: Checkpoint, settings: Mapping[str, Any], data: Dataset, statistics: Statistics) -> None:
    """Refuse other settings or data than those of an unfinished fit. Raises ConfigError.

    statistics: mean and standard deviation of the training pixels, [C] each.
    """
    for name, then, now in _differences(checkpoint, settings):
        raise ConfigError(
            f"{name}: expected {then}, as when this fit began, found {now}: resume with the same settings"
        )
    if not _same_images(checkpoint, data, statistics):
        raise ConfigError("expected the images that this fit began with, found others: resume with the same --data")


def check_finished(
    checkpoint: Checkpoint, given: Mapping[str, Any], data: Dataset, run: object, group: Group = ALONE
) -> None:
    """Refuse other settings or data than those of a finished fit, which nothing can change any more.

    given: the settings that were asked for, by name.
    run: its folder, for messages.
    group: the processes that compute statistics of the images together.
    Raises ConfigError, and CheckpointError for one of which the settings are not known.
    """
    try:
        for name, then, now in _differences(checkpoint, given):
            raise ConfigError(
                f"{name}: expected {then}, as in the finished run {run}, found {now}: "
                f"train anew without --resume, or from its weights with --from {run}"
            )
        train = parts_of(data, _settings_of(checkpoint)).train
        same = _same_images(checkpoint, data, pixel_statistics(train.images, group))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"expected a finished run that `kit train` saved in {run}, found other content ({error}): "
            "train anew without --resume"
        ) from None
    if not same:
        raise ConfigError(
            f"expected the images of the finished run {run}, found others: "
            f"train anew without --resume, or from its weights with --from {run}"
        )


def _settings_of(checkpoint: Checkpoint) -> FitConfig:
    """Read the settings of a fit. Raises TypeError, and ValueError for those out of range."""
    try:
        return FitConfig(**(EARLIER | checkpoint.provenance["settings"]))
    except ConfigError as error:
        raise ValueError(str(error)) from None


def _differences(checkpoint: Checkpoint, settings: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Name each setting that was another, with its value then and now; None stands for any."""
    before = checkpoint.provenance["settings"]
    for name, value in settings.items():
        then = before.get(name, EARLIER.get(name))
        if value is not None and then != value:
            yield name, "none" if then is None else repr(then), repr(value)


def _mirrored(checkpoint: Checkpoint) -> bool:
    return checkpoint.features is not None and bool(checkpoint.features.about.get("mirror"))


def _same_images(checkpoint: Checkpoint, data: Dataset, statistics: Statistics) -> bool:
    mean, std = (statistic.tolist() for statistic in statistics)
    if not same_features(checkpoint.features, data.features) or _mirrored(checkpoint) != (data.train.copies > 1):
        return False
    then = checkpoint.provenance["data"], checkpoint.labels, checkpoint.image
    now = about(data), data.labels, data.contract
    return (*then, checkpoint.mean.tolist(), checkpoint.std.tolist()) == (*now, mean, std)

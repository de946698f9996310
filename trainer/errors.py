"""The trainer's errors; like all of the kit's they are a `KitError`."""

from runtime import errors
from runtime.errors import KitError


class TrainerError(KitError):
    """Root of the trainer's errors."""


class DataError(TrainerError, errors.DataError):
    """The data set is missing, damaged, or not fit to train on."""


class CheckpointError(TrainerError):
    """The file is not a checkpoint of the kit, or cannot be written."""


class ConfigError(TrainerError):
    """A setting is out of its range, or this machine does not have what it asks for."""

"""The trainer's errors; like all of the kit's they are a `KitError`."""

from runtime import errors
from runtime.errors import KitError


class TrainerError(KitError):
    """Root of the trainer's errors."""


class DataError(TrainerError, errors.DataError):
    """The data set is missing, damaged, or not fit to train on."""


class CheckpointError(TrainerError):
    """The file is not a checkpoint of the kit, or cannot be written."""


class DivergedError(TrainerError):
    """A fit has diverged: its weights or losses are not finite, or its training loss ends above 2 ln K."""


class ConfigError(TrainerError):
    """A setting is out of its range, or this machine does not have what it asks for."""


class UnmetError(TrainerError):
    """The held-out images do not suffice for the share of errors that was asked for; the model has been written."""

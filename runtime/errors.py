"""The errors that softmax-kit raises, under one root.

    KitError
    ├── ArtefactError       the exported file: missing, damaged, foreign, too new
    ├── DataError           a data set: missing, damaged, or not fit to train on
    ├── InputError          the image: wrong type or shape, or not a valid image file
    ├── ScoringError        scoring many images: nowhere to write, processes or a cluster that fail
    ├── SelfTestError       the golden examples give other probabilities on this device
    ├── ToolchainError      a C compiler or an emulator: not installed, or failing
    └── MissingExtraError   an optional dependency is not installed (an ImportError too)

The trainer's and the exporter's errors are KitErrors as well, so one `except` covers a whole script.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class KitError(Exception):
    """Root of every error that a user can cause; the message says what was expected, found, and what to do."""


class ArtefactError(KitError):
    """The file is not an artefact that this runtime can run."""


class DataError(KitError):
    """The data set is missing, damaged, or not fit to train on."""


class InputError(KitError):
    """The image is not something that the artefact can classify."""


class SelfTestError(KitError):
    """The artefact gives other answers here than where it was made."""


class ToolchainError(KitError):
    """A C compiler or an emulator is not installed, or fails."""


class ScoringError(KitError):
    """Many images cannot be scored: there is nowhere to write, or the processes or the cluster fail."""


class MissingExtraError(KitError, ImportError):
    """An optional dependency is not installed."""


@contextmanager
def naming(artefact: str) -> Iterator[None]:
    """Put an artefact's name before the message of an ArtefactError or SelfTestError inside the block."""
    try:
        yield
    except (ArtefactError, SelfTestError) as error:
        error.args = (f"{artefact}: {error}",)
        raise


@contextmanager
def needs_extra(extra: str, purpose: str) -> Iterator[None]:
    """Turn a failed import inside the block into the command that installs what is missing.

    Raises MissingExtraError, for modules that are not there at all; an import that fails otherwise passes through.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{purpose} needs {error.name}, which is not installed: pip install 'softmax-kit[{extra}]'", name=error.name
        ) from error

"""Writing files whole or not at all, with the trainer's error."""

from contextlib import AbstractContextManager
from pathlib import Path

from runtime import files
from runtime.files import discard_parts

from .errors import TrainerError

__all__ = ["discard_parts", "replacing", "write_atomic"]


def replacing(path: Path) -> AbstractContextManager[Path]:
    """As `runtime.files.replacing`. Raises TrainerError."""
    return files.replacing(path, TrainerError)


def write_atomic(path: Path, data: bytes) -> None:
    """As `runtime.files.write_atomic`. Raises TrainerError."""
    files.write_atomic(path, data, TrainerError)

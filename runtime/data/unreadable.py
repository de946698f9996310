"""Images of a data set that cannot be read: how many may be, and which they are."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ..errors import DataError
from ..files import write_atomic
from ..text import note, printable

MAX_UNREADABLE = 0.01
SCREEN = 20  # lines


def report_unreadable(name: str, unreadable: Mapping[str, str], count: int, listing: Path | None = None) -> None:
    """List on standard error which of a data set's `count` images were left out.

    unreadable: name → reason.
    listing: where all of them are written to if they are more than a screen; by default a new temporary file.
    """
    note(f"{name}: left out {len(unreadable):,} of {count:,} images, which cannot be read:")
    _list(unreadable, listing)


def check_share(
    where: str, unreadable: Mapping[str, str], count: int, most: float, listing: Path | None = None
) -> None:
    """Refuse more than a share `most` of unreadable images, and list them as `report_unreadable` does.

    Raises DataError.
    """
    if len(unreadable) <= most * count:
        return
    name, reason = next(iter(unreadable.items()))
    if len(unreadable) > 1:
        note(f"{where}: {len(unreadable):,} of {count:,} images cannot be read:")
        _list(unreadable, listing)
    raise DataError(
        f"{where}: expected at most {100 * most:g}% of the images to be unreadable, found {len(unreadable):,} of "
        f"{count:,}, the first of them {name} ({reason}): replace or remove them, or allow more with "
        "--max-unreadable of kit train and kit evaluate"
    )


def _list(unreadable: Mapping[str, str], listing: Path | None) -> None:
    lines = [f"{image}: {reason}" for image, reason in unreadable.items()]
    for line in lines[:SCREEN]:
        note(f"  {line}")
    if len(lines) > SCREEN:
        path = listing or _temporary()
        write_atomic(path, "".join(f"{printable(line)}\n" for line in lines).encode(), DataError)
        note(f"  and {len(lines) - SCREEN:,} more; {path} lists all")


def _temporary() -> Path:
    descriptor, path = tempfile.mkstemp(prefix="unreadable-", suffix=".txt")
    os.close(descriptor)
    return Path(path)

"""Which folder a run goes to where none is named, and what runs there are. Needs no torch."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from runtime.digest import digest
from runtime.errors import needs_extra

from ..checkpoint import ENTRY, FILE_NAME, RUNS
from ..errors import TrainerError
from .files import UNFINISHED

MOST = 10_000  # runs of a name
SUFFIXES = (".onnx", ".ort", ".pt", ".pt2")  # of artefacts


class Found(NamedTuple):
    """A run in a folder: the description in its checkpoint, JSON; None where it is damaged."""

    folder: Path
    description: dict[str, Any] | None
    changed: float

    @property
    def finished(self) -> bool:
        """Whether it is; one that cannot be read counts as finished, so that nothing replaces it."""
        return self.description is None or self.description.get("progress") is None


def folder_for(name: str, *, resume: bool, root: Path = RUNS) -> Path:
    """Return the folder of a run that is named after its data: a finished run is never replaced.

    resume: whether to return the newest unfinished run of that name instead, or the newest one where all are finished.
    Raises TrainerError where there are too many.
    """
    folders = [root / (name if number == 1 else f"{name}-{number}") for number in range(1, MOST)]
    taken: list[Found] = []
    for folder in folders:
        found = read(folder)
        if found is None:
            free = folder
            break
        taken.append(found)
    else:
        raise TrainerError(f"{root / name}: expected fewer than {MOST:,} runs, found as many: name a folder with --out")
    unfinished = [found for found in taken if not found.finished]
    if resume and taken:
        return max(unfinished or taken, key=lambda found: found.changed).folder
    return unfinished[-1].folder if unfinished and unfinished[-1].folder == taken[-1].folder else free


def read(folder: Path) -> Found | None:
    """Read what a folder says of its run; None where it holds none."""
    path = folder / FILE_NAME
    try:
        changed = path.stat().st_mtime
    except OSError:
        return None
    with needs_extra("export", "reading a run"):
        from safetensors import SafetensorError, safe_open
    try:
        with safe_open(path, framework="numpy") as file:
            description = json.loads((file.metadata() or {})[ENTRY])
        return Found(folder, description if isinstance(description, dict) else None, changed)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError):
        return Found(folder, None, changed)


def all_runs(root: Path = RUNS) -> list[Found]:
    """Find the runs below a folder, the newest first; those in `unfinished/` are of the run beside them."""
    found = (read(path.parent) for path in sorted(root.glob(f"**/{FILE_NAME}")) if path.parent.name != UNFINISHED)
    return sorted((run for run in found if run), key=lambda run: -run.changed)


def older_artefacts(folder: Path) -> Iterator[Path]:
    """Yield the artefacts beside a checkpoint that were exported from another one, by the digest that they carry."""
    try:
        mark = digest((folder / FILE_NAME).read_bytes()).encode()
        files = sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES))
    except OSError:
        return
    for path in files:
        try:
            data = path.read_bytes()
        except OSError:
            continue
        known = set(re.findall(rb'"checkpoint":\s*"(sha256:[0-9a-f]{64})"', data))
        if known and mark not in known:
            yield path

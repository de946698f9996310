"""What models in C take on emulated targets, for `kit bench` and `kit export`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import tables
from ..c.footprint import Footprint, beyond, footprints
from ..c.programs import AVR
from ..c.reading import read_source
from ..errors import KitError
from ..text import printable

TITLES = {"flash": "flash, bytes", "ram": "RAM", "stack": "stack", "instructions": "instructions an image"}
FRAME = re.compile(r"([0-9]{1,6})x([0-9]{1,6})")
PREFIXES = {"k": 1024, "m": 1024**2}


def read_budget(text: str) -> dict[str, float]:
    """Parse `flash=16k,ram=1k`. Raises ValueError."""
    budget: dict[str, float] = {}
    for part in text.split(",") if text else ():
        name, _, number = (word.strip().lower() for word in part.partition("="))
        factor = PREFIXES.get(number[-1:], 1)
        try:
            value = float(number.rstrip("km")) * factor
        except ValueError:
            value = -1
        if name not in TITLES or name in budget or not 0 <= value < float("inf"):
            raise ValueError(
                f"expected each of {', '.join(TITLES)} once at most, as flash=16k with k for 1,024, found {part!r}"
            )
        budget[name] = value
    return budget


def read_frame(text: str) -> tuple[int, int]:
    """Read a camera's width and height, such as 320x240. Raises ValueError."""
    found = FRAME.fullmatch(text)
    if not found:
        raise ValueError(f"expected width and height in pixels, such as 320x240, found {text!r}")
    return int(found[1]), int(found[2])


def table(found: Mapping[str, Footprint]) -> list[str]:
    """Show figures, a line a target."""
    rows = [("target", *TITLES.values())]
    for target, taken in found.items():
        unit = " cycles" if target == AVR else ""
        rows.append((target, *(f"{value:,}" for value in taken[:-1]), f"{taken.instructions:,.0f}{unit}"))
    return tables.table(rows, numbers=True)


def entry(path: Path, targets: Sequence[str], budget: Mapping[str, float]) -> dict[str, Any]:
    """Measure for `kit bench`: figures by target, ready for JSON, or an error."""
    try:
        source = read_source(path)
        found = footprints(source, source.metadata.golden.images, targets or None)
    except KitError as error:
        return {"artefact": str(path), "error": str(error)}
    errors = [f"{printable(path)}: {line}" for line in beyond(budget, found)]
    figures = {target: taken._asdict() for target, taken in found.items()}
    return {"artefact": str(path), "targets": figures, **({"beyond": errors} if errors else {})}

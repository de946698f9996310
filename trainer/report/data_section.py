"""The sentences of the model card on the data's own mistakes."""

from collections.abc import Mapping
from textwrap import fill
from typing import Any

WIDTH = 110
APART = "The test images took no part in the fit; the figures by label are measured on them."
ACROSS = "copy across parts"


def data_section(report: Mapping[str, Any]) -> str:
    """Say whether the test images are apart from the others, and what else the cheap part of the audit found.

    report: content of report.json; `audit` is missing where it was not done.
    """
    counts = dict(report.get("audit", {}).get("counts", {}))
    text = APART
    if copies := counts.pop(ACROSS, 0):
        text = (
            f"{copies:,} images are in two of the training, validation and test images: as far as these are test "
            "images, the figures are better than for new images. The other test images took no part in the fit."
        )
    if counts:
        others = ", ".join(f"{kind} {count:,}" for kind, count in counts.items())
        text += f" Found besides: {others}. report.json names some; `kit audit` lists all, and looks for more."
    return fill(text, WIDTH)

"""`audit`: a table of what is wrong with a data set, a row for each image or class."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..config import FitConfig
from ..data.dataset import Dataset, Split
from ..data.memory import limit_or_default
from ..errors import ConfigError
from .copies import exact_copies, memory_of, near_copies

PARTS = ("train", "val", "test")
UNIFORM = 2  # grey levels between the darkest and the brightest pixel of a blank image, at most
WHITE, BRIGHT, DARK, SHARE = 255, 250, 5, 0.95  # pixels of an over- and of an under-exposed image, and how many of them
FEW, SHARE_OF_LARGEST = 10, 0.02  # training images of a small class
BLOCK = 1024
EXAMPLES = 20  # findings of a kind in a report
KINDS = (
    "copy across parts", "same image in two classes", "copy", "near copy across parts", "near copy in two classes",
    "near copy", "likely wrong label", "blank", "over-exposed", "under-exposed", "tiny", "small class",
)  # fmt: skip


class Finding(NamedTuple):
    """What is wrong with an image or a class.

    kind: one of KINDS.
    part: of the data set, "train", "val" or "test".
    image: its path, its row of Parquet, or its position; empty for a class.
    label: its class.
    other: the image that it is a copy of, or the label that is likelier; empty for none.
    score: 0-1, smaller for what is surer: the probability of its label, what a copy leaves of the other image as
        a share of what alterations leave at most, or 0.
    """

    kind: str
    part: str
    image: str
    label: str
    other: str = ""
    score: float = 0.0


class _All(NamedTuple):
    """The images of all parts, one after the other."""

    data: Dataset
    splits: tuple[tuple[str, Split], ...]

    @classmethod
    def of(cls, data: Dataset) -> "_All":
        found = ((name, getattr(data, name)) for name in PARTS)
        return cls(data, tuple((name, split) for name, split in found if split is not None))

    def place(self, row: int) -> tuple[str, str, str]:
        """Part, name and label of an image."""
        for name, split in self.splits:
            if row < len(split):
                return name, split.names[row], self.data.labels[int(split.targets[row])]
            row -= len(split)
        raise IndexError(row)


def audit(
    data: Dataset,
    config: FitConfig | None = None,
    *,
    near: bool = True,
    labels: bool = True,
    memory_limit: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Find what is wrong with a data set: rows for `pandas.DataFrame` or `polars.DataFrame`, as `kit audit` has them.

    ```python
    from trainer import audit, load_data

    findings = audit(load_data("photos"))
    ```

    data: with features, where likely wrong labels are to be found on these.
    config: of the fits that look for likely wrong labels.
    near: whether to look for near copies. labels: whether to look for likely wrong labels.
    memory_limit: bytes that images may take, 16 MiB or more; by default half of the free memory.
    progress: called with what is looked for, and the number of images or folds done and of all.
    Returns the fields of `Finding`, sorted by kind and score.
    """
    limit = limit_or_default(memory_limit)
    every, found = _All.of(data), cheap_findings(data)
    if near:
        _check_memory(every, limit)
        found += _near(every, progress, {finding.image for finding in found if "copy" in finding.kind})
    if labels:
        found += _labels(data, config, progress, limit)
    found.sort(key=lambda finding: (KINDS.index(finding.kind), finding.score))
    return [finding._asdict() for finding in found]


def _check_memory(every: "_All", limit: int) -> None:
    """Raise ConfigError where the search for near copies would take more than the limit."""
    count = sum(len(split) for _, split in every.splits)
    if memory_of(count) > limit:
        raise ConfigError(
            f"memory_limit: expected at least {memory_of(count):,} bytes for near copies among {count:,} images, found "
            f"{limit:,}: raise --memory-limit, or leave them out with --no-near"
        )


def cheap_findings(data: Dataset) -> list[Finding]:
    """Find exact copies, blank, badly exposed and tiny images, and small classes: what every report has."""
    every = _All.of(data)
    found = [*_copies(every), *_exposure(every), *_tiny(every), *_classes(data)]
    return sorted(found, key=lambda finding: (KINDS.index(finding.kind), finding.score))


def summary(data: Dataset) -> dict[str, Any]:
    """Count the cheap findings of each kind, and list the first of each, ready for JSON."""
    found = cheap_findings(data)
    counts = Counter(finding.kind for finding in found)
    some = [finding for kind in counts for finding in [one for one in found if one.kind == kind][:EXAMPLES]]
    return {"counts": dict(counts), "findings": [finding._asdict() for finding in some]}


def _kind(prefix: str, one: tuple[str, str, str], other: tuple[str, str, str]) -> str:
    """Name a copy by where the two images are."""
    if one[0] != other[0]:
        return f"{prefix}copy across parts"
    if one[2] != other[2]:
        return "near copy in two classes" if prefix else "same image in two classes"
    return f"{prefix}copy"


def _copies(every: _All) -> Iterator[Finding]:
    images = [split.images for _, split in every.splits]
    for rows in exact_copies(_Joined(images)):
        first = every.place(rows[0])
        for row in rows[1:]:
            this = every.place(row)
            yield Finding(_kind("", this, first), *this, other=first[1])


def _near(every: _All, progress: Callable[[str, int, int], None] | None, known: set[str]) -> Iterator[Finding]:
    def tell(done: int, total: int) -> None:
        if progress:
            progress("near copies", done, total)

    images = _Joined([split.images for _, split in every.splits])
    for pair in near_copies(images, progress=tell):
        this, other = every.place(pair.row), every.place(pair.other)
        if this[1] not in known:
            yield Finding(_kind("near ", this, other), *this, other=other[1], score=round(pair.ratio, 6))


def _exposure(every: _All) -> Iterator[Finding]:
    row = 0
    for _, split in every.splits:
        for block in split.images.split(BLOCK):
            pixels = block.cpu().flatten(1)
            means = pixels.sum(1, dtype=torch.int64) / pixels.shape[1]
            spread = pixels.amax(1).int() - pixels.amin(1).int()
            maybe = (spread <= UNIFORM) | (means >= SHARE * BRIGHT) | (means <= SHARE * DARK + (1 - SHARE) * WHITE)
            for place in maybe.nonzero()[:, 0].tolist():
                if kind := _exposed(pixels[place]):
                    yield Finding(kind, *every.place(row + place))
            row += len(pixels)


def _exposed(pixels: torch.Tensor) -> str:
    """Say what is wrong with an image's pixels, uint8 [D]; empty for nothing."""
    if int(pixels.max()) - int(pixels.min()) <= UNIFORM:
        return "blank"
    if float((pixels >= BRIGHT).float().mean()) >= SHARE:
        return "over-exposed"
    return "under-exposed" if float((pixels <= DARK).float().mean()) >= SHARE else ""


def _tiny(every: _All) -> Iterator[Finding]:
    start = 0
    for _, split in every.splits:
        for row in split.names.tiny():
            yield Finding("tiny", *every.place(start + row))
        start += len(split)


def _classes(data: Dataset) -> Iterator[Finding]:
    counts = np.bincount(data.train.targets.cpu().numpy(), minlength=len(data.labels))
    least = max(FEW, SHARE_OF_LARGEST * counts.max())
    for label, count in zip(data.labels, counts.tolist(), strict=True):
        if count < least:
            yield Finding("small class", "train", "", label, other=f"{count:,} images", score=count / counts.max())


def _labels(
    data: Dataset, config: FitConfig | None, progress: Callable[[str, int, int], None] | None, limit: int
) -> Iterator[Finding]:
    from .labels import label_scores, out_of_fold, suspects

    def tell(done: int, total: int) -> None:
        if progress:
            progress("likely wrong labels", done, total)

    probabilities, targets = out_of_fold(data, config, limit, progress=tell), data.train.targets.cpu().numpy()
    scores: NDArray[np.float32] = label_scores(probabilities, targets)
    names = data.train.names
    for row in suspects(probabilities, targets).tolist():
        likelier = data.labels[int(probabilities[row].argmax())]
        yield Finding(
            "likely wrong label", "train", names[row], data.labels[int(targets[row])], likelier,
            round(float(scores[row]), 6),
        )  # fmt: skip


class _Joined:
    """Images of several splits, one after the other, to be read in blocks."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts = parts

    def split(self, size: int) -> Iterator[torch.Tensor]:
        """Yield blocks of at most `size` images."""
        for part in self._parts:
            yield from part.split(size)

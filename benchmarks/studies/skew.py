"""Benchmark of the detection of input skew: false alarms, detections, and cost; Markdown on standard output.

python -m benchmarks.skew --data-dir DIR
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click
import numpy as np
import torch
from sklearn.datasets import load_sample_images

from export.appearance import pixel_statistics
from runtime.image import Pixels
from runtime.pixel_statistics import PixelStatistics
from runtime.skew.measures import findings
from trainer import Dataset, Split, load_data, provenance

from ..tools.measure import aimed, fashion, fashion_dir, interleaved, table
from ..tools.page import show

WINDOW = 32
FEW = 64
PHOTOS = {"crops of flower.jpg": (1,), "crops of china.jpg": (0,), "crops of both": (0, 1)}
CROP, BAND, STEP = 32, 64, 8
FALSE_ALARMS, FOUND = 0.001, 0.99
MILLISECONDS = 2.0

Change = Callable[[Pixels], Pixels]


def linear(factor: float, offset: float = 0) -> Change:
    """Make a change of brightness or of contrast."""
    return lambda images: np.clip(np.round(images * float(factor) + float(offset)), 0, 255).astype(np.uint8)


MODERATE: dict[str, Change] = {
    "as they are": linear(1),
    "brightness × 0.8": linear(0.8),
    "brightness × 1.2": linear(1.2),
    "contrast × 0.8": linear(0.8, 25.6),
    "contrast × 1.2": linear(1.2, -25.6),
}
WRONG: dict[str, tuple[str, Change]] = {
    "255 − pixels": ("inverted", lambda images: 255 - images),
    "scaled to 0-1, cut": ("scaled", lambda images: images // 255),
    "scaled to 0-1, rounded": ("scaled", linear(1 / 255)),
    "all black": ("blank", lambda images: np.zeros_like(images)),
    "all 128": ("blank", lambda images: np.full_like(images, 128)),
    "brightness ÷ 10": ("brightness", linear(0.1)),
    "brightness ÷ 4": ("brightness", linear(0.25)),
    "pixels + 128": ("brightness", linear(1, 128)),
    "pixels ÷ 2 + 128": ("brightness", linear(0.5, 128)),
    "brightness × 4": ("brightness", linear(4)),
}
SWAPPED: dict[str, tuple[str, Change]] = {"BGR": ("swapped", lambda images: images[..., ::-1])}


@dataclass(frozen=True)
class Subject:
    """Test images, in random order and class after class, with the statistics of their training images."""

    images: Pixels
    by_class: Pixels
    statistics: PixelStatistics

    @classmethod
    def of(cls, data: Dataset) -> "Subject":
        """Compute a data set's statistics as training and exporting do."""
        mean, std = (values.numpy() for values in provenance.pixel_statistics(data.train.images))
        images = data.test.images.numpy()
        return cls(
            images=images[np.random.default_rng(0).permutation(len(images))],
            by_class=images[data.test.targets.argsort(stable=True).numpy()],
            statistics=pixel_statistics(mean, std, provenance.training_sample(data.train, 0)),
        )


@click.command()
@fashion
def main(data_dir: Path | None) -> None:
    """Count detections on test images, unchanged and altered."""
    folder = fashion_dir(data_dir)
    subjects = {
        "Fashion-MNIST": Subject.of(load_data("fashion-mnist", data_dir=folder)),
        "digits": Subject.of(load_data("digits")),
    }
    colours = {name: Subject.of(crops(photos)) for name, photos in PHOTOS.items()}
    show("Input skew", compare(subjects, colours))


def compare(subjects: Mapping[str, Subject], colours: Mapping[str, Subject]) -> Iterator[str]:
    """Yield tables."""
    yield false_alarms({**subjects, **colours})
    yield found(subjects, WRONG, FOUND)
    yield found(colours, SWAPPED)
    yield cost(subjects)


def false_alarms(subjects: Mapping[str, Subject]) -> str:
    """Count single images and windows that raise a false alarm."""
    rows = []
    for name, subject in subjects.items():
        for change, apply in MODERATE.items():
            singles, _ = named(apply(subject.images), subject.statistics, 1)
            windows = [
                named(apply(images), subject.statistics, WINDOW) for images in (subject.images, subject.by_class)
            ]
            rows.append(
                (
                    name,
                    change,
                    share(singles, len(subject.images)),
                    aimed(singles.total() / len(subject.images), FALSE_ALARMS),
                    *(share(counts, total) for counts, total in windows),
                    aimed(sum(counts.total() for counts, _ in windows), 0),
                )
            )
    head = ("test images", "change", "single images", "target", f"windows of {WINDOW}", "class after class", "target")
    return table(head, rows)


def found(subjects: Mapping[str, Subject], wrong: Mapping[str, tuple[str, Change]], least: float | None = None) -> str:
    """Count single images and windows for which the right cause is named, and those for which another is."""
    rows = []
    for name, subject in subjects.items():
        for change, (cause, apply) in wrong.items():
            cells, rates = [], []
            for images, size in ((subject.images, 1), (subject.images, WINDOW), (subject.by_class, WINDOW)):
                counts, total = named(apply(images), subject.statistics, size)
                rates.append(counts.pop(cause, 0) / total)
                cells.append(f"{rates[-1]:.2%}" + (f", and {share(counts, total)}" if counts else ""))
            aim = aimed(min(rates[1:]), least, least=True) if least and cause in ("inverted", "scaled") else ""
            rows.append((name, change, cause, *cells, aim))
    return table(
        ("test images", "altered", "cause", "single images", f"windows of {WINDOW}", "class after class", "target"),
        rows,
    )


def cost(subjects: Mapping[str, Subject]) -> str:
    """Time the detection on a classifier's first images, and on a single one."""
    rows = []
    for name, subject in subjects.items():
        for count, limit in ((FEW, MILLISECONDS), (1, MILLISECONDS)):
            images = subject.images[:count]
            times = interleaved({name: lambda: findings(images, subject.statistics)}, 50)[name]  # noqa: B023 - called at once
            milliseconds = 1000 * median(times)
            size = " × ".join(map(str, images.shape))
            rows.append((name, size, f"{milliseconds:.2f}", aimed(milliseconds, limit)))
    return table(("images", "size", "median, ms", "target"), rows)


def named(images: Pixels, statistics: PixelStatistics, size: int) -> tuple[Counter[str], int]:
    """Count the causes that are named for windows of `size` images; return the number of windows too."""
    starts = range(0, len(images) - size + 1, size)
    return (
        Counter(finding.cause for start in starts for finding in findings(images[start : start + size], statistics)),
        len(starts),
    )


def share(counts: Counter[str], total: int) -> str:
    """Write how often a cause was named, and which."""
    causes = f" ({', '.join(sorted(counts))})" if counts else ""
    return f"{counts.total() / total:.2%}{causes}"


def crops(photos: tuple[int, ...], step: int = STEP) -> Dataset:
    """Cut scikit-learn's photos into bands, alternately for training and test, and these into overlapping crops."""
    halves: list[list[Pixels]] = [[], []]
    targets: list[list[int]] = [[], []]
    for target, photo in enumerate(load_sample_images().images[index] for index in photos):
        height, width, _ = photo.shape
        for left in range(0, width - CROP + 1, step):
            if left % BAND <= BAND - CROP:
                for top in range(0, height - CROP + 1, step):
                    halves[left // BAND % 2].append(photo[top : top + CROP, left : left + CROP])
                    targets[left // BAND % 2].append(target)
    train, test = (
        Split(torch.from_numpy(np.stack(images)), torch.tensor(classes))
        for images, classes in zip(halves, targets, strict=True)
    )
    return Dataset(name="crops", labels=("china", "flower"), train=train, test=test)

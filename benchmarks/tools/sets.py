"""Data sets to train on that differ in size, contrast, classes and balance; what nobody ships is made here."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits, load_sample_images

from trainer import Dataset, Split, load_data

TEST_EACH = 5  # one image in so many is for testing


def sets(
    data_dir: Path | None, cifar: Path | None, flowers: Path | None
) -> Iterator[tuple[str, Callable[[], Dataset]]]:
    """Yield names of data sets, and what loads or makes each.

    data_dir: of Fashion-MNIST. cifar, flowers: folders of photos, train/<class>/* and test/<class>/*. None leaves out.
    """
    yield "digits", lambda: load_data("digits")
    yield "digits, unbalanced", unbalanced
    yield "faint", faint
    yield "two photos", two_photos
    yield "100 classes", many_classes
    if flowers:
        yield "flowers, 32 px", lambda: load_data(flowers, image_size=32)
    if cifar:
        yield "CIFAR-10, 16 px", lambda: load_data(cifar, image_size=16)
        yield "CIFAR-10, 32 px", lambda: load_data(cifar, image_size=32)
    if data_dir:
        yield "Fashion-MNIST", lambda: load_data("fashion-mnist", data_dir=data_dir)


def dataset(name: str, images: NDArray[np.uint8], targets: NDArray[np.int64]) -> Dataset:
    """Take every fifth image of each class for testing."""
    rank = np.empty(len(targets), np.int64)
    for target in np.unique(targets):
        rows = np.flatnonzero(targets == target)
        rank[rows] = np.arange(len(rows))
    test = rank % TEST_EACH == TEST_EACH - 1
    labels = tuple(map(str, range(int(targets.max()) + 1)))
    train, held = (Split.of(torch.from_numpy(images[part]), targets[part]) for part in (~test, test))
    return Dataset(name=name, labels=labels, train=train, test=held)


def unbalanced() -> Dataset:
    """scikit-learn's digits, of each digit 0.7 times as many as of the one before; the test images are balanced."""
    whole, digits = load_data("digits"), load_digits()
    targets = whole.train.targets.numpy()
    kept = np.concatenate([
        np.flatnonzero(targets == target)[: int(140 * 0.7**target)] for target in range(len(digits.target_names))
    ])  # fmt: skip
    return Dataset(
        name="unbalanced",
        labels=whole.labels,
        train=whole.train.subset(torch.from_numpy(np.sort(kept))),
        test=whole.test,
    )


def faint() -> Dataset:
    """Three classes whose images differ by a grey level or two, in noise of four: 300 of 32 × 32, colour."""
    rng, targets = np.random.default_rng(0), np.arange(300) % 3
    patterns = rng.normal(0, 0.4, (3, 32, 32, 3))
    images = 128 + patterns[targets] + rng.normal(0, 4, (300, 32, 32, 3))
    return dataset("faint", np.clip(np.rint(images), 0, 255).astype(np.uint8), targets)


def two_photos() -> Dataset:
    """Patches of 16 × 16 of scikit-learn's two photos, 600 of each: which photo is it of?"""
    rng, images, targets = np.random.default_rng(0), [], []
    for target, photo in enumerate(load_sample_images().images):
        height, width = photo.shape[:2]
        for _ in range(600):
            top, left = rng.integers(height - 16), rng.integers(width - 16)
            images.append(photo[top : top + 16, left : left + 16])
            targets.append(target)
    return dataset("two photos", np.stack(images), np.array(targets))


def many_classes() -> Dataset:
    """100 classes of 30 grey images, 16 × 16: a pattern each, at any brightness and contrast, shifted, in noise."""
    rng, targets = np.random.default_rng(0), np.arange(3000) % 100
    coarse = rng.normal(0, 1, (100, 6, 6))
    patterns = np.kron(coarse, np.ones((1, 3, 3)))  # [100, 18, 18]
    images = np.empty((3000, 16, 16))
    for row, target in enumerate(targets):
        top, left = rng.integers(3, size=2)
        images[row] = patterns[target, top : top + 16, left : left + 16] * rng.uniform(10, 50) + rng.uniform(60, 190)
    images += rng.normal(0, 25, images.shape)
    return dataset("100 classes", np.clip(np.rint(images), 0, 255).astype(np.uint8)[..., None], targets)

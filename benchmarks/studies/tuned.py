"""Default training against a tuned scikit-learn: accuracy and loss on the test images, processor time of the fit."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from statistics import mean
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer import Dataset, FitConfig, fit, load_data

from ..peers.tuned import tune, tune_on_folds
from ..tools.measure import aimed, multiple, table

POINTS = 0.005  # accuracy that may be lost, or a standard error where that is more
LOSS, LOSS_MORE = 1.05, 0.01
TIME, LEAST_SECONDS = 1 / 3, 0.6
FEW = (20, 50)  # images


class Figures(NamedTuple):
    """Accuracy and loss on the test images, seconds of processor time, and scikit-learn's choice of C."""

    accuracy: float
    loss: float
    seconds: float
    c: float = math.nan


class Row(NamedTuple):
    """A data set.

    images: that both train on. tested: test images. ours: means of our fits.
    """

    name: str
    images: int
    tested: int
    ours: Figures
    tuned: Figures

    @property
    def met(self) -> bool:
        """Whether ours is as good and as fast as it aims to be."""
        error = math.sqrt(self.tuned.accuracy * (1 - self.tuned.accuracy) / self.tested)
        return (
            self.ours.accuracy >= self.tuned.accuracy - max(POINTS, error)
            and self.ours.loss <= LOSS * self.tuned.loss + LOSS_MORE
            and self.ours.seconds <= max(TIME * self.tuned.seconds, LEAST_SECONDS)
        )


def compare(
    sets: Iterable[tuple[str, Callable[[], Dataset]]], *, seeds: int, calibrate: bool | None = None
) -> Iterator[str]:
    """Yield what scikit-learn costs as a multiple of ours, then the figures; a row for each data set.

    seeds: of our fits, whose mean counts. calibrate: as in FitConfig.
    """
    rows = [measure(name, load(), seeds, calibrate) for name, load in sets]
    ahead = [mean(row.ours.accuracy - row.tuned.accuracy for row in rows)]
    ahead.append(mean(row.tuned.loss - row.ours.loss for row in rows))
    shares = [
        (row.name, f"{100 * (row.ours.accuracy - row.tuned.accuracy):+.2f}", multiple(row.tuned.loss / row.ours.loss),
         multiple(row.tuned.seconds / row.ours.seconds), "met" if row.met else "not met")
        for row in rows
    ]  # fmt: skip
    aims = ", ".join(aimed(gain, 0.0, least=True) for gain in ahead)
    shares.append(("mean", f"{100 * ahead[0]:+.2f}", f"{ahead[1]:+.3f} less in ours", "", aims))
    yield table(("data", "accuracy, points ahead of it", "loss ÷ ours", "time ÷ ours", "target"), shares)
    figures = [
        (row.name, f"{row.images:,}", f"{ours.accuracy:.4f}", f"{peer.accuracy:.4f}", f"{ours.loss:.3f}",
         f"{peer.loss:.3f}", f"{ours.seconds:.2f}", f"{peer.seconds:.2f}", f"{peer.c:g}")
        for row in rows
        for ours, peer in [(row.ours, row.tuned)]
    ]  # fmt: skip
    yield table(("data", "images", "accuracy", "tuned", "loss", "tuned", "s", "tuned", "C"), figures)


def measure(name: str, data: Dataset, seeds: int, calibrate: bool | None) -> Row:
    """Fit both to a data set."""
    train, test = ((split.images.numpy(), split.targets.numpy()) for split in (data.train, data.test))
    peer = tune(*train)
    ours, seconds = [], []
    for seed in range(seeds):
        started = time.process_time()
        ours.append(fit(data, FitConfig(seed=seed, calibrate=calibrate, device="cpu")).history[-1])
        seconds.append(time.process_time() - started)
    mine = Figures(mean(row.test_accuracy for row in ours), mean(row.test_loss for row in ours), mean(seconds))
    return Row(name, len(train[1]), len(test[1]), mine, Figures(*peer.figures(*test), peer.seconds, peer.c))


def compare_few(*, draws: int) -> Iterator[str]:
    """Yield a table of fits to 20 and 50 digits: mean loss on the test images, C chosen on five folds on both sides."""
    data, rows = load_data("digits"), []
    test = data.test.images.numpy(), data.test.targets.numpy()
    for images in FEW:
        ours, peers = [], []
        for seed in range(draws):
            train = data.train.subset(draw(data.train.targets.numpy(), images, seed))
            ours.append(fit(replace(data, train=train), FitConfig(seed=seed, device="cpu")).history[-1].test_loss)
            peers.append(tune_on_folds(train.images.numpy(), train.targets.numpy(), seed).figures(*test)[1])
        rows.append([f"{images} digits", f"{draws}", f"{mean(ours):.3f}", aimed(mean(ours), mean(peers))])
    yield table(("data", "draws", "loss", "scikit-learn"), rows)


def draw(targets: NDArray[np.int64], images: int, seed: int) -> Tensor:
    """Draw images at random, as many of each class as of any other: their rows.

    images: how many of all classes together.
    """
    order = np.random.default_rng(seed).permutation(len(targets))
    each = [order[targets[order] == target] for target in range(int(targets.max()) + 1)]
    return torch.from_numpy(np.concatenate([rows[: images // len(each)] for rows in each]))

"""Default training against a tuned scikit-learn: accuracy and loss on the test images, processor time of the fit."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from statistics import mean

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer import Dataset, FitConfig, fit, load_data

from ..peers.tuned import tune, tune_on_folds
from ..tools.measure import aimed, table

POINTS = 0.005  # accuracy that may be lost, or a standard error where that is more
LOSS, LOSS_MORE = 1.05, 0.01
TIME, LEAST_SECONDS = 1 / 3, 0.6
FEW = (20, 50)  # images
HEAD = ("data", "images", "accuracy", "tuned", "loss", "tuned", "s", "tuned", "C", "target")


def compare(sets: Iterable[tuple[str, Callable[[], Dataset]]], *, seeds: int) -> Iterator[str]:
    """Yield a table, a row for each data set: means of our fits with several random seeds, next to scikit-learn."""
    rows, ahead = [], []
    for name, load in sets:
        data = load()
        train, test = ((split.images.numpy(), split.targets.numpy()) for split in (data.train, data.test))
        peer = tune(*train)
        accuracy, loss = peer.figures(*test)
        ours, seconds = [], []
        for seed in range(seeds):
            started = time.process_time()
            ours.append(fit(data, FitConfig(seed=seed, device="cpu")).history[-1])
            seconds.append(time.process_time() - started)
        mine, lost = mean(row.test_accuracy for row in ours), mean(row.test_loss for row in ours)
        error = max(POINTS, float(np.sqrt(accuracy * (1 - accuracy) / len(test[1]))))
        met = (
            mine >= accuracy - error
            and lost <= LOSS * loss + LOSS_MORE
            and mean(seconds) <= max(TIME * peer.seconds, LEAST_SECONDS)
        )
        ahead.append((mine - accuracy, loss - lost))
        figures = [f"{mine:.4f}", f"{accuracy:.4f}", f"{lost:.3f}", f"{loss:.3f}"]
        times = [f"{mean(seconds):.2f}", f"{peer.seconds:.2f}", f"{peer.c:g}"]
        rows.append([name, f"{len(train[1]):,}", *figures, *times, "met" if met else "not met"])
    gains = [mean(gain[part] for gain in ahead) for part in (0, 1)]
    marks = [aimed(gain, 0.0, least=True) for gain in gains]
    rows.append(["mean, ours ahead by", "", f"{gains[0]:+.4f}", marks[0], f"{gains[1]:+.3f}", marks[1], "", "", "", ""])
    yield table(HEAD, rows)


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

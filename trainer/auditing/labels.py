"""Likely wrong labels: images whose own label is unlikely to a model that has not seen them.

C. Northcutt, L. Jiang and I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70, 2021. The
score is the self-confidence, the probability of an image's own label.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..config import FitConfig
from ..data.dataset import Dataset, Split
from ..decisions.concluding import probabilities_of
from ..fitting import fit
from ..solvers.choice import deal

FOLDS = 5


def out_of_fold(
    data: Dataset,
    config: FitConfig | None = None,
    memory_limit: int | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Compute the probabilities of the training images by models that have not seen them: float32 [N, K].

    Five models, each fitted to four fifths of the images; weight decay is chosen by the first one. Images of a class
    that is in one fold alone get the probabilities of a model that does not know it.

    memory_limit: as of `fit`.
    progress: called with the number of folds done and of all.
    """
    config = replace(config or FitConfig(), calibrate=False)
    part, train = deal(data.train.targets.cpu(), FOLDS, config.seed), data.train
    found = np.zeros((len(train), len(data.labels)), np.float32)
    for fold in range(FOLDS):
        held, rest = ((part == fold).nonzero()[:, 0], (part != fold).nonzero()[:, 0])
        if not len(held) or not len(rest):
            continue
        held_out: Split = train.subset(held).unmirrored
        result = fit(
            replace(data, train=train.subset(rest), val=None, test=held_out), config, memory_limit=memory_limit
        )
        found[held.numpy()] = probabilities_of(result.checkpoint, held_out)
        if config.weight_decay is None and result.choice:
            config = replace(config, weight_decay=result.choice.weight_decay)
        if progress:
            progress(fold + 1, FOLDS)
    return found


def label_scores(probabilities: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.float32]:
    """How likely each image's label is right: its probability, 0-1, [N]."""
    return probabilities[np.arange(len(targets)), targets]


def suspects(probabilities: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.intp]:
    """Rows of the images whose label is likely wrong, the likeliest first.

    An image counts if another class is likelier to it than that class is, on average, to its own images (the confident
    joint of Northcutt et al., equation 2), and likelier than its own label.
    """
    classes = probabilities.shape[1]
    usual = np.array([
        probabilities[targets == place, place].mean() if (targets == place).any() else np.inf
        for place in range(classes)
    ])  # fmt: skip
    best = probabilities.argmax(axis=1)
    rows = np.arange(len(targets))
    wrong = (best != targets) & (probabilities[rows, best] >= usual[best])
    order = np.argsort(label_scores(probabilities, targets), kind="stable")
    found: NDArray[np.intp] = order[wrong[order]]
    return found

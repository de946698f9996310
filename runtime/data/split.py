"""A stratified split at random: the same rows as scikit-learn's `train_test_split`, which a device does not have."""

import math

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

TEST_SHARE = 0.2


def hold_out(targets: NDArray[np.int64], share: float, *, seed: int) -> tuple[Counts, Counts]:
    """Split rows at random, a share of each class into the second part: two sorted int64 arrays of rows.

    Where the share is too small or too large for that, each part has one image of each class at least.

    targets: int64 [N], at least two of each class.
    share: of the second part, 0-1.
    seed: random seed.
    """
    _, classes, counts = np.unique(targets, return_inverse=True, return_counts=True)
    held = math.ceil(share * len(targets))
    rng = np.random.RandomState(seed % 2**32)
    if len(counts) > min(held, len(targets) - held):
        held_counts = np.ones_like(counts) if held < len(counts) else counts - 1
        kept_counts = counts - held_counts
    else:
        kept_counts = _apportion(counts, len(targets) - held, rng)
        held_counts = _apportion(counts - kept_counts, held, rng)
    parts: tuple[list[Counts], list[Counts]] = ([], [])
    rows = np.split(np.argsort(classes, kind="stable"), np.cumsum(counts)[:-1])
    for of_class, kept, taken in zip(rows, kept_counts, held_counts, strict=True):
        shuffled = of_class[rng.permutation(len(of_class))]
        parts[0].append(shuffled[:kept])
        parts[1].append(shuffled[kept : kept + taken])
    kept_rows, held_rows = (np.sort(np.concatenate(part)) for part in parts)
    return kept_rows, held_rows


def _apportion(counts: Counts, draws: int, rng: np.random.RandomState) -> Counts:
    """Divide draws among the classes in proportion to their counts; largest remainders get one more, ties at random.

    The arithmetic is scikit-learn's to the last bit, as the random numbers that are drawn depend on it.
    """
    exact = counts / counts.sum() * draws
    found = np.floor(exact)
    remainders, missing = exact - found, int(draws - found.sum())
    for remainder in np.unique(remainders)[::-1]:
        if missing <= 0:
            break
        tied = np.flatnonzero(remainders == remainder)
        chosen = rng.choice(tied, size=min(len(tied), missing), replace=False)
        found[chosen] += 1
        missing -= len(chosen)
    whole: Counts = found.astype(np.int64)
    return whole

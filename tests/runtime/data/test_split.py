"""The stratified split, against scikit-learn's."""

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from runtime.data.split import hold_out


def classes(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 12))
    drawn = np.concatenate([np.repeat(np.arange(count), 12), rng.integers(0, count, rng.integers(0, 300))])
    rng.shuffle(drawn)
    return drawn


@pytest.mark.parametrize("share", [0.1, 0.2, 0.25, 0.5, 0.9])
def test_the_rows_are_scikit_learns(share: float) -> None:
    for seed in range(40):
        targets = classes(seed)
        parts = train_test_split(np.arange(len(targets)), test_size=share, stratify=targets, random_state=seed)
        for found, expected in zip(hold_out(targets, share, seed=seed), parts, strict=True):
            np.testing.assert_array_equal(found, np.sort(expected))


@pytest.mark.parametrize(("share", "held"), [(0.2, 1), (0.01, 1), (0.95, 3)])
def test_a_share_that_leaves_a_class_out_takes_one_of_each(share: float, held: int) -> None:
    targets = np.repeat(np.arange(5), 4)
    with pytest.raises(ValueError, match="number of classes"):
        train_test_split(targets, test_size=share, stratify=targets)
    kept_rows, held_rows = hold_out(targets, share, seed=0)
    assert np.bincount(targets[held_rows]).tolist() == [held] * 5
    assert sorted([*kept_rows, *held_rows]) == list(range(20))

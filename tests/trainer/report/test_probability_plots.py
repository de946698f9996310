"""The plot of probabilities: its bins against scikit-learn's calibration curve, and what it shows."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from trainer.report.probability_plots import bins_of, probabilities_plot

RNG = np.random.default_rng(0)
PROBABILITIES = RNG.dirichlet([1, 1, 1], 400).astype(np.float32)
TARGETS = np.array([RNG.choice(3, p=row / row.sum()) for row in PROBABILITIES.astype(np.float64)])


def test_the_bins_are_scikit_learns() -> None:
    confidence, accuracy, counts = bins_of(TARGETS, PROBABILITIES)
    right = PROBABILITIES.argmax(axis=1) == TARGETS
    shares, means = calibration_curve(right, PROBABILITIES.max(axis=1), n_bins=15)
    np.testing.assert_allclose(accuracy, shares)
    np.testing.assert_allclose(confidence, means, rtol=1e-5)
    assert counts.sum() == 400


@pytest.mark.parametrize("before", [None, PROBABILITIES])
@pytest.mark.parametrize("accepted", [None, {"coverage": 0.5, "error": 0.1}, {"coverage": 0.0, "error": None}])
def test_what_it_shows(before: np.ndarray | None, accepted: dict[str, float | None] | None) -> None:
    figure = probabilities_plot(TARGETS, PROBABILITIES, before, accepted)
    left, right = figure.axes
    names = left.get_legend_handles_labels()[1]
    assert names == (["probability"] if before is None else ["before calibration", "calibrated"])
    shown = right.get_legend_handles_labels()[1]
    assert shown == (["accepted answers"] if accepted and accepted["error"] is not None else [])
    assert right.lines[0].get_xdata()[-1] == 100  # type: ignore[index]

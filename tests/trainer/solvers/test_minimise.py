"""Preconditioned L-BFGS reaches the minimum, in few iterations, whatever the function is like."""

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import Tensor

from trainer.solvers.minimise import MEMORY, Minimiser, Precondition

SCALES = torch.logspace(0, 3, 20)


def stretched(parameters: Tensor) -> tuple[float, Tensor]:
    """Quartic, of curvatures 1 to 1,000, least at 1."""
    away = parameters - 1
    return float((SCALES * (away**2 / 2 + away**4)).sum()), SCALES * (away + 4 * away**3)


@pytest.mark.parametrize(
    ("precondition", "iterations"), [(lambda gradient: gradient, 300), (lambda gradient: gradient / SCALES, 15)]
)
def test_it_reaches_the_minimum(precondition: Precondition, iterations: int) -> None:
    minimiser = Minimiser(stretched, torch.zeros(20), precondition)
    assert minimiser.run(iterations, 1e-7)
    torch.testing.assert_close(minimiser.parameters, torch.ones(20), rtol=0, atol=2e-3)
    assert len(minimiser.pairs) <= MEMORY


def test_iterations_as_scipys() -> None:
    counted: list[object] = []
    scipy.optimize.minimize(
        lambda x: tuple(np.asarray(part, np.float64) for part in stretched(torch.tensor(x, dtype=torch.float32))),
        np.zeros(20),
        jac=True,
        method="L-BFGS-B",
        options={"ftol": 1e-7},
        callback=counted.append,
    )
    minimiser, done = Minimiser(stretched, torch.zeros(20), lambda gradient: gradient / SCALES.max()), 0
    while not minimiser.run(1, 1e-7):
        done += 1
    assert done < 2 * len(counted)


def test_every_step_lowers_the_value() -> None:
    minimiser = Minimiser(stretched, torch.full((20,), 30.0), lambda gradient: gradient)  # far too long a first step
    values = [minimiser.value]
    while minimiser.iterate() and len(values) < 60:
        values.append(minimiser.value)
    assert values == sorted(values, reverse=True)
    assert values[-1] < 1e-3 * values[0]


def test_it_says_when_no_step_lowers_the_value() -> None:
    minimiser = Minimiser(stretched, torch.ones(20), lambda gradient: gradient)
    assert minimiser.run(5, 0.0)
    assert torch.equal(minimiser.parameters, torch.ones(20))


def test_a_value_that_is_not_finite_shortens_the_step() -> None:
    def barrier(x: Tensor) -> tuple[float, Tensor]:
        return float(x - x.log()), 1 - 1 / x

    minimiser = Minimiser(barrier, torch.tensor(0.01), lambda gradient: 1e4 * gradient)
    minimiser.run(100, 1e-6)
    assert float(minimiser.parameters) == pytest.approx(1, abs=1e-2)


def test_a_change_of_curvature_is_that_of_the_function() -> None:
    """The pairs remembered are what they would have been with the new function."""
    extra = torch.linspace(0, 2, 20)

    def both(parameters: Tensor) -> tuple[float, Tensor]:
        value, gradient = stretched(parameters)
        return value + float((extra * parameters**2).sum()) / 2 * on, gradient + extra * parameters * on

    on = 0
    minimiser = Minimiser(both, torch.zeros(20), lambda gradient: gradient / SCALES)
    visited = [minimiser.parameters]
    for _ in range(4):
        minimiser.iterate()
        visited.append(minimiser.parameters)
    on = 1
    minimiser.change(extra)
    assert minimiser.value == both(minimiser.parameters)[0]
    for (step, change), before, after in zip(minimiser.pairs, visited, visited[1:], strict=False):
        torch.testing.assert_close(step, after - before)
        torch.testing.assert_close(change, both(after)[1] - both(before)[1], rtol=1e-3, atol=1e-2)

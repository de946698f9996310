"""L-BFGS with a preconditioner, an iteration at a time: Nocedal and Wright, Numerical Optimization, algorithm 7.4."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

MEMORY = 10  # pairs of step and change of gradient
SHORTEST = 20  # times that a step is shortened
SLOPE = 1e-4  # share of the decrease that the slope promises, Armijo's condition

Evaluate = Callable[[Tensor], tuple[float, Tensor]]
Precondition = Callable[[Tensor], Tensor]
Pairs = list[tuple[Tensor, Tensor]]


class Minimiser:
    """Minimises a smooth convex function of parameters of any shape.

    evaluate: returns the value and the gradient.
    start: parameters to start from.
    precondition: multiplies a gradient by an estimate of the inverse Hessian, up to a factor.
    """

    def __init__(self, evaluate: Evaluate, start: Tensor, precondition: Precondition) -> None:
        self._evaluate, self._precondition = evaluate, precondition
        self.parameters = start
        self.pairs: Pairs = []
        self.value, self._gradient = evaluate(start)

    def iterate(self) -> bool:
        """Take a step along the search direction; return whether one was found that lowers the value."""
        direction = self._direction()
        slope = _dot(direction, self._gradient)
        if not slope < 0:
            return False
        length = 1.0
        for _ in range(SHORTEST):
            parameters = self.parameters.add(direction, alpha=length)
            value, gradient = self._evaluate(parameters)
            if value <= self.value + SLOPE * length * slope:
                break
            length *= _shortening(value - self.value, length * slope)
        else:
            return False
        self._remember(parameters - self.parameters, gradient - self._gradient)
        self.parameters, self.value, self._gradient = parameters, value, gradient
        return True

    def run(self, iterations: int, tolerance: float) -> bool:
        """Iterate until the value falls by less than this share of it; return whether it came to that."""
        for _ in range(iterations):
            before = self.value
            if not self.iterate() or before - self.value <= tolerance * abs(before):
                return True
        return False

    def change(self, curvature: Tensor | float) -> None:
        """Go on with a function to which curvature / 2 · parameters² was added."""
        self.pairs = [(step, change.addcmul(step, torch.as_tensor(curvature))) for step, change in self.pairs]
        self.value, self._gradient = self._evaluate(self.parameters)

    def _direction(self) -> Tensor:
        """Two loops over the pairs around the preconditioner, which is scaled to the last pair."""
        direction, factors = -self._gradient, []
        products = [_dot(step, change) for step, change in self.pairs]
        for (step, change), product in zip(reversed(self.pairs), reversed(products), strict=True):
            factors.append(_dot(step, direction) / product)
            direction = direction.add(change, alpha=-factors[-1])
        direction = self._precondition(direction)
        if self.pairs:
            change = self.pairs[-1][1]
            direction = direction.mul(products[-1] / _dot(change, self._precondition(change)))
        for (step, change), product in zip(self.pairs, products, strict=True):
            direction = direction.add(step, alpha=factors.pop() - _dot(change, direction) / product)
        return direction

    def _remember(self, step: Tensor, change: Tensor) -> None:
        if _dot(step, change) > torch.finfo(step.dtype).eps * _dot(change, change):
            self.pairs = [*self.pairs, (step, change)][-MEMORY:]


def _dot(one: Tensor, other: Tensor) -> float:
    return float((one * other).sum())


def _shortening(rise: float, slope: float) -> float:
    """By what to shorten a step: to the minimum of the parabola through what was found, by 2 at least and 10 at most.

    rise: of the value over the step, too large. slope: what it would be along the tangent, below 0.
    """
    if not math.isfinite(rise):
        return 0.1
    return min(0.5, max(0.1, -slope / (2 * (rise - slope))))

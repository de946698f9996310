"""Learning rates by optimiser step. Imports no torch."""

import math
from collections.abc import Callable, Iterator


def cosine(lr: float, start: int, steps: int) -> Iterator[float]:
    """Half a cosine from `lr` to 0, from step `start` on (Loshchilov and Hutter 2017, no restarts)."""
    return (lr * (1 + math.cos(math.pi * step / steps)) / 2 for step in range(start, steps))


def constant(lr: float, start: int, steps: int) -> Iterator[float]:
    """`lr` at each step, from step `start` on."""
    return (lr for _ in range(start, steps))


SCHEDULES: dict[str, Callable[[float, int, int], Iterator[float]]] = {"cosine": cosine, "constant": constant}

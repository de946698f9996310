"""What a solver is given, and what it returns.

A solver is made of a `Task` and has: `epoch`, which runs an epoch, or the rest of one; `converged`, whether it is at
the optimum, None where it cannot tell; `choice`, what it has found, or None; `position`, where in the fit it is, as
JSON; `tensors`, those that the next epoch depends on beside the model's own, by name and laid out as in the checkpoint;
`restore`, which goes back to a position and its tensors and raises what comes of values that no fit has saved.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..config import Choice, FitConfig
from ..data.dataset import Split
from ..distributed import Group
from ..softmax_regression import Model


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a solver works on.

    model: changed in place.
    class_weights: float32 [K], or None where all classes have the same weight.
    on_batch: called with the number of images of each minibatch.
    on_choice: called with what was chosen, once.
    stop: asked every few minibatches whether to stop there.
    group: the processes that work on it together.
    window: bytes of images that are shuffled together.
    warm: whether the model has another fit's weights, to start from.
    """

    model: Model
    train: Split
    class_weights: Tensor | None
    device: torch.device
    config: FitConfig
    on_batch: Callable[[int], None]
    on_choice: Callable[[Choice], None]
    stop: Callable[[], bool]
    group: Group
    window: int
    warm: bool = False


class Outcome(NamedTuple):
    """What became of an epoch: its mean loss in nats and its accuracy, or that it was stopped before its end."""

    loss: float
    accuracy: float
    stopped: bool = False

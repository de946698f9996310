"""What a fit returns."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .checkpoint import Checkpoint
    from .config import Choice
    from .decisions.thresholds import Unmet
    from .epoch import Epoch
    from .softmax_regression import Model


@dataclass(frozen=True)
class Fit:
    """What `fit` returns.

    model: on the CPU.
    history: a row for each epoch.
    checkpoint: to save, export or resume.
    finished: False where `stop` ended the fit early.
    converged: whether L-BFGS reached the optimum, though validation may have kept an earlier epoch; None for SGD.
    choice: what "auto" has found; None before, and for other solvers.
    kept: the epoch that the model is of.
    unmet: the demands, such as `max_error`, that the held-out images did not suffice for; the model has no threshold
        for these.
    """

    model: "Model"
    history: tuple["Epoch", ...]
    checkpoint: "Checkpoint"
    finished: bool
    converged: bool | None
    choice: "Choice | None"
    kept: int
    unmet: tuple["Unmet", ...] = ()

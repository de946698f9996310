"""From probabilities to a `Prediction`: the likeliest labels, and what the artefact's decision says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .decision import Acceptance, Decision


@dataclass(slots=True)
class Prediction:
    """The answer for one image.

    label: the name of the most probable class.
    probability: its probability, 0-1.
    index: its place in `Classifier.labels`.
    top: (label, probability) pairs of the `top_k` most probable classes, best first.
    accepted: whether the answer passes the thresholds in the artefact; None without any.
    familiar: whether the image is like those that the model was made for; None where the artefact cannot tell.
    set: the labels of the prediction set, likeliest first; None unless a `confidence` was asked for.
    """

    label: str
    probability: float
    index: int
    top: list[tuple[str, float]]
    accepted: bool | None = None
    familiar: bool | None = None
    set: tuple[str, ...] | None = None


class Predictor:
    """Predicts for a model with these labels and this decision.

    decides: whether anything is decided: if not, `accepted` and `familiar` are None.
    """

    def __init__(self, labels: tuple[str, ...], decision: Decision | None) -> None:
        self._labels = labels
        self._acceptance: Acceptance | None = None
        self._least_familiar: float | None = None
        self._sets: dict[float, float] = {}
        if decision:
            from .decision import Acceptance

            self._acceptance = Acceptance(decision.thresholds, labels) if decision.thresholds else None
            self._least_familiar = decision.familiarity and decision.familiarity.threshold
            self._sets = {found.confidence: found.probability for found in decision.sets}
        self.decides = self._acceptance is not None or self._least_familiar is not None

    def __call__(
        self,
        probabilities: NDArray[np.float32],
        top_k: int,
        familiarity: NDArray[np.float32] | None,
        confidence: float | None = None,
    ) -> Prediction:
        """Predict for one image: probabilities [K], familiarity [1]. Raises InputError."""
        if top_k == 1:  # as fast as it goes
            index = int(probabilities.argmax())
            top = [(self._labels[index], probabilities.item(index))]
        else:
            check_top_k(top_k)
            order = np.argsort(-probabilities, kind="stable")[:top_k].tolist()
            index, top = order[0], [(self._labels[place], probabilities.item(place)) for place in order]
        least = self._least_familiar
        return Prediction(
            *top[0],
            index,
            top,
            None if self._acceptance is None else self._acceptance(probabilities, index),
            None if least is None or familiarity is None else familiarity.item() >= least,
            None if confidence is None else self._set(probabilities, self.least(confidence)),
        )

    def least(self, confidence: float) -> float:
        """The probability that a label of the sets with this confidence has. Raises InputError for one not stored."""
        found = self._sets.get(confidence) if isinstance(confidence, (int, float)) else None
        if found is None:
            known = ", ".join(f"{level:g}" for level in self._sets)
            raise InputError(
                f"expected a confidence out of {known}, the ones stored in the artefact, got {confidence!r}: choose "
                "one of them"
                if self._sets
                else "expected an artefact with prediction sets for a confidence, got one without: train it again with "
                "`kit train --calibrate`, and export it"
            )
        return found

    def _set(self, probabilities: NDArray[np.float32], least: float) -> tuple[str, ...]:
        order = np.argsort(-probabilities, kind="stable")
        count = max(1, sum(probability >= least for probability in probabilities.tolist()))
        return tuple(self._labels[index] for index in order[:count].tolist())


def check_top_k(top_k: int) -> None:
    """Raise InputError for what is not an integer of at least 1."""
    if not isinstance(top_k, int) or top_k < 1:
        raise InputError(f"expected top_k of at least 1, got {top_k!r}")

"""The entry `decision` of an artefact: whether an answer is accepted, and what goes into a prediction set.

The graph's probabilities are those after temperature and bias, so that a reader may ignore the entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .entries import check, count, distinct, items, number, rate, share

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EXPECTED = "a decision of temperature, bias, thresholds, sets and familiarity, each as docs/artefact.md has it"


class Threshold(NamedTuple):
    """What an answer has to pass to be accepted.

    probability: without a label, the least probability of the answer; with one, the answer is that label, or that
        label's probability is below this.
    label: None, or the class that must not be missed.
    max_error: the largest share of errors, or of missed images of the label's class.
    confidence: the probability that this share holds.
    images: how many held-out images the threshold was found on.
    coverage: the share of these whose answers pass.
    """

    probability: float
    label: str | None
    max_error: float
    confidence: float
    images: int
    coverage: float


class PredictionSet(NamedTuple):
    """The labels whose probability is at least `probability` contain the true one with probability `confidence`.

    images: how many held-out images the threshold was found on.
    """

    confidence: float
    probability: float
    images: int


class Familiarity(NamedTuple):
    """An image is familiar if its score, the graph's output `familiarity`, is at least `threshold`.

    false_alarms: the share of held-out images that are not.
    images: how many held-out images the threshold was found on.
    """

    threshold: float
    false_alarms: float
    images: int


class Decision(NamedTuple):
    """What was found on held-out images after the fit.

    temperature: what the logits were divided by.
    bias: K numbers that were added to the logits then; None for none.
    thresholds: an answer is accepted if it passes all of them; at most one without a label, and one a label.
    sets: of different confidences.
    familiarity: None where the graph has no such output.
    """

    temperature: float = 1.0
    bias: tuple[float, ...] | None = None
    thresholds: tuple[Threshold, ...] = ()
    sets: tuple[PredictionSet, ...] = ()
    familiarity: Familiarity | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the entry as JSON values."""
        return {
            "temperature": self.temperature,
            "bias": None if self.bias is None else list(self.bias),
            "thresholds": [threshold._asdict() for threshold in self.thresholds],
            "sets": [found._asdict() for found in self.sets],
            "familiarity": self.familiarity and self.familiarity._asdict(),
        }


class Acceptance:
    """The thresholds of a decision, for answers of a model with these labels."""

    def __init__(self, thresholds: Sequence[Threshold], labels: Sequence[str]) -> None:
        self._least = max((found.probability for found in thresholds if found.label is None), default=0.0)
        self._missed = [(labels.index(found.label), found.probability) for found in thresholds if found.label]

    def __call__(self, probabilities: NDArray[np.float32], index: int) -> bool:
        """Say whether the answer `index` is accepted: probabilities [K]."""
        if probabilities.item(index) < self._least:
            return False
        for place, limit in self._missed:  # noqa: SIM110 - as fast as it goes
            if index != place and probabilities.item(place) >= limit:
                return False
        return True


def read_decision(value: Any, labels: Sequence[str], outputs: Sequence[str]) -> Decision:
    """Read the entry. Raises as the functions of `entries` do.

    labels: the model's.
    outputs: names of the graph's optional outputs.
    """
    bias, familiarity = value["bias"], value["familiarity"]
    if bias is not None:
        bias = tuple(map(number, items(bias)))
        check(len(bias) == len(labels))
    temperature = number(value["temperature"])
    check(temperature > 0)
    thresholds = tuple(_threshold(found, labels) for found in items(value["thresholds"]))
    distinct([found.label for found in thresholds])
    sets = tuple(
        PredictionSet(rate(found["confidence"]), share(found["probability"]), count(found["images"]))
        for found in items(value["sets"])
    )
    distinct([found.confidence for found in sets])
    return Decision(
        temperature=temperature,
        bias=bias,
        thresholds=thresholds,
        sets=sets,
        familiarity=None if familiarity is None else _familiarity(familiarity, outputs),
    )


def _threshold(value: Any, labels: Sequence[str]) -> Threshold:
    label = value["label"]
    check(label is None or label in labels)
    return Threshold(
        probability=share(value["probability"]),
        label=label,
        max_error=rate(value["max_error"]),
        confidence=rate(value["confidence"]),
        images=count(value["images"]),
        coverage=share(value["coverage"]),
    )


def _familiarity(value: Any, outputs: Sequence[str]) -> Familiarity:
    check("familiarity" in outputs)
    false_alarms = share(value["false_alarms"])
    check(false_alarms < 1)
    return Familiarity(number(value["threshold"]), false_alarms, count(value["images"]))

"""Which answers pass the thresholds of a decision."""

import numpy as np
import pytest

from runtime.decision import Acceptance, Decision, Threshold, read_decision

LABELS = ("good", "scratch", "hole")
LEAST = Threshold(probability=0.5, label=None, max_error=0.02, confidence=0.95, images=500, coverage=0.9)
SCRATCH = LEAST._replace(probability=0.25, label="scratch")


@pytest.mark.parametrize(
    ("thresholds", "probabilities", "accepted"),
    [
        ([LEAST], [0.5, 0.25, 0.25], True),
        ([LEAST], [0.4921875, 0.25, 0.2578125], False),
        ([SCRATCH], [0.75, 0.25, 0.0], False),
        ([SCRATCH], [0.765625, 0.234375, 0.0], True),
        ([SCRATCH], [0.375, 0.5, 0.125], True),
        ([LEAST, SCRATCH], [0.5, 0.25, 0.25], False),
        ([LEAST, SCRATCH], [0.25, 0.4921875, 0.2578125], False),
        ([LEAST, SCRATCH], [0.5, 0.125, 0.375], True),
        ([SCRATCH, SCRATCH._replace(label="hole")], [0.5, 0.125, 0.375], False),
    ],
)
def test_acceptance(thresholds: list[Threshold], probabilities: list[float], accepted: bool) -> None:
    found = np.array(probabilities, np.float32)
    assert Acceptance(thresholds, LABELS)(found, int(found.argmax())) is accepted


def test_what_nobody_set_is_nothing() -> None:
    assert read_decision(Decision().to_json(), LABELS, ()) == Decision()

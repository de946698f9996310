"""What the model card says of abstention."""

from typing import Any

from runtime.decision import Decision, Familiarity, PredictionSet, Threshold
from trainer.report.decision_section import decision_section
from trainer.report.model_card import escape

DECISION = Decision(
    temperature=0.5,
    thresholds=(Threshold(0.75, None, 0.02, 0.95, 96, 0.9), Threshold(0.125, "a|b", 0.01, 0.95, 96, 0.9)),
    sets=(PredictionSet(0.9, 0.2, 96),),
    familiarity=Familiarity(-1.5, 0.01, 144),
).to_json()
REPORT: dict[str, Any] = {
    "decision": {"images": 144, "calibrating_images": 48},
    "before_calibration": {"calibration_error": 0.2},
    "metrics": {
        "calibration_error": 0.03,
        "decision": {
            "accepted": {"coverage": 0.875, "error": 0.0123},
            "thresholds": [{"label": None, "found": 0.0123}, {"label": "a|b", "found": None}],
            "sets": [{"confidence": 0.9, "coverage": 0.92, "size": 1.25}],
            "familiar": 0.985,
        },
    },
}


def said(report: dict[str, Any], decision: dict[str, Any] | None) -> str:
    return " ".join(decision_section(report, decision, escape).split())


def test_it_says() -> None:
    text = said(REPORT, DECISION)
    for part in (
        "Found on 144 images that were held out from the fit.",
        "calibrated by a temperature of 0.5: calibration error 0.2000 before, 0.0300 after.",
        "Accepted from a probability of 0.75: at most 2.00% of the accepted answers are wrong, with 95% confidence, by "
        "96 images; on the test images 1.23%.",
        r"only where a\|b has a probability below 0.125: at most 1.00% of a\|b is missed",
        "Of the test images 87.5% are answered, and 1.23% of these answers are wrong.",
        "Prediction sets at 90%: on the test images 92.0% have the true label, with 1.25 labels on average.",
        "Familiarity: 1% of such images count as unfamiliar; of the test images 1.5%.",
    ):
        assert part in text, part


def test_what_was_not_measured_on_the_test_images() -> None:
    report = REPORT | {"metrics": {"calibration_error": 0.03}}
    text = said(report, DECISION)
    assert "by 96 images; on the test images not measured." in text
    assert "Of the test images" not in text


def test_probabilities_that_held() -> None:
    plain = DECISION | {"temperature": 1.0, "thresholds": [], "familiarity": None}
    assert "- Probabilities: as the fit gives them, since these held." in said(REPORT, plain)
    assert "a bias for each label" in said(REPORT, plain | {"bias": [0.5, -0.5]})


def test_without_a_decision_there_is_none() -> None:
    assert decision_section(REPORT, None, escape) == ""
    assert decision_section({"metrics": {}}, DECISION, escape) == ""

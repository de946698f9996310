"""The part of the model card on probabilities, abstention and prediction sets."""

from collections.abc import Callable, Iterator, Mapping
from textwrap import fill
from typing import Any

WIDTH = 110

Escape = Callable[[str], str]

NONE = 'Images that may show something else: it has no answer "none of these".'
SOME = (
    "Images that may show something else: some of them are told by their familiarity, and some are not. Measure it "
    "on\n  such images first."
)


def decision_section(report: Mapping[str, Any], decision: Mapping[str, Any] | None, escape: Escape) -> str:
    """Say what was found on held-out images, in Markdown; empty where there were none.

    report: content of report.json.
    decision: the checkpoint's, as JSON.
    escape: of labels, for Markdown.
    """
    if not decision or "decision" not in report:
        return ""
    lines = [fill(line, WIDTH, subsequent_indent="  ") for line in _lines(report, decision, escape)]
    return f"\n## When it does not answer\n\n{fill(_found(report), WIDTH)}\n\n" + "\n".join(lines) + "\n"


def _found(report: Mapping[str, Any]) -> str:
    return (
        f"Found on {report['decision']['images']:,} images that were held out from the fit. It holds for images like "
        "these, drawn as they were; for others nothing is guaranteed."
    )


def _lines(report: Mapping[str, Any], decision: Mapping[str, Any], escape: Escape) -> Iterator[str]:
    measured = report["metrics"].get("decision", {})
    yield f"- Probabilities: {_calibration(report, decision)}"
    rows = {row["label"]: row["found"] for row in measured.get("thresholds", [])}
    for threshold in decision["thresholds"]:
        yield _threshold(threshold, rows.get(threshold["label"]), escape)
    if accepted := measured.get("accepted"):
        wrong = "none" if accepted["error"] is None else f"{accepted['error']:.2%}"
        yield f"- Of the test images {accepted['coverage']:.1%} are answered, and {wrong} of these answers are wrong."
    for one in measured.get("sets", []):
        yield (
            f"- Prediction sets at {one['confidence']:.0%}: on the test images {one['coverage']:.1%} have the true "
            f"label, with {one['size']:.2f} labels on average."
        )
    if found := decision["familiarity"]:
        share = f"; of the test images {1 - measured['familiar']:.1%}" if "familiar" in measured else ""
        yield f"- Familiarity: {found['false_alarms']:.0%} of such images count as unfamiliar{share}."


def _calibration(report: Mapping[str, Any], decision: Mapping[str, Any]) -> str:
    after, before = report["metrics"]["calibration_error"], report["before_calibration"]["calibration_error"]
    if decision["temperature"] == 1 and decision["bias"] is None:
        return "as the fit gives them, since these held."
    bias = " and a bias for each label" if decision["bias"] else ""
    return (
        f"calibrated by a temperature of {decision['temperature']:.3g}{bias}: calibration error {before:.4f} before, "
        f"{after:.4f} after."
    )


def _threshold(threshold: Mapping[str, Any], found: float | None, escape: Escape) -> str:
    measured = "not measured" if found is None else f"{found:.2%}"
    sure = f"with {threshold['confidence']:.0%} confidence, by {threshold['images']:,} images"
    if threshold["label"] is None:
        return (
            f"- Accepted from a probability of {threshold['probability']:.4g}: at most {threshold['max_error']:.2%} "
            f"of the accepted answers are wrong, {sure}; on the test images {measured}."
        )
    label = escape(threshold["label"])
    return (
        f"- Accepted as another label only where {label} has a probability below {threshold['probability']:.3g}: at "
        f"most {threshold['max_error']:.2%} of {label} is missed, {sure}; on the test images {measured}."
    )

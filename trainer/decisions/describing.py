"""Says in lines what was found on held-out images."""

from collections.abc import Iterator, Mapping
from typing import Any

from runtime.decision import Decision, Threshold

from .thresholds import Unmet


def described(decision: Decision, about: Mapping[str, Any]) -> Iterator[str]:
    """Say what a checkpoint's decision is.

    about: what `Decided.about` has.
    """
    measured, images = about["after"], about["images"] - about["calibrating_images"]
    yield (
        f"{about['images']:,} held-out images: probabilities are {_calibration(decision)}, calibration error "
        f"{measured['calibration_error']:.4f} on {images:,}"
    )
    for threshold in decision.thresholds:
        yield _threshold(threshold)
    if decision.sets:
        levels = ", ".join(
            f"{found.confidence:.0%} from probability {found.probability:.3g}" for found in decision.sets
        )
        yield f"prediction sets: {levels}"
    if found := decision.familiarity:
        yield (
            f"familiar: a score of at least {found.threshold:.4g}, which {found.false_alarms:.0%} of such images fall "
            f"below ({found.images:,} held-out images)"
        )


def _calibration(decision: Decision) -> str:
    if decision.temperature == 1 and decision.bias is None:
        return "calibrated as they are"
    bias = " and a bias for each label" if decision.bias is not None else ""
    return f"calibrated by temperature {decision.temperature:.3g}{bias}"


def _threshold(found: Threshold) -> str:
    sure = f"with {found.confidence:.0%} confidence ({found.images:,} images)"
    if found.label is None:
        return (
            f"accepted: a probability of at least {found.probability:.4g}, {found.coverage:.1%} of the answers; at "
            f"most {found.max_error:.2%} of these are wrong, {sure}"
        )
    return (
        f"accepted: {found.label}, or a probability of {found.label} below {found.probability:.3g}, "
        f"{found.coverage:.1%} of the answers; at most {found.max_error:.2%} of {found.label} is missed, {sure}"
    )


def remedy(unmet: Unmet) -> str:
    """Say what it takes to meet a demand."""
    option, _, rate = unmet.demand.partition(" ")
    expected = f"--{option.replace('_', '-')} {rate}"
    if unmet.needed is None:
        return (
            f"{expected}: expected answers that keep to it, found {unmet.share:.1%} errors in the surest "
            f"{unmet.found:,} held-out answers, which no number of images makes fewer: allow more, or use other "
            "--features"
        )
    return (
        f"{expected}: expected at least {unmet.fewest:,} held-out answers without an error, found {unmet.found:,} with "
        f"{unmet.share:.1%} errors: hold out some {unmet.needed:,} images, by more training images or with kit "
        "calibrate --data, or allow more"
    )

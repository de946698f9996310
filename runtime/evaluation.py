"""An artefact's answers to labelled images, and the figures of these."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .classifier import Classifier
from .data.decode import decode_all
from .data.fingerprints import fingerprint, read_fingerprints
from .data.known import KNOWN, NAMES, Arrays, read_known
from .data.labelled import check_counts, open_labelled
from .data.labels import check_distinct
from .data.source import LabelledSource, Rest
from .data.split import TEST_SHARE, hold_out
from .data.unreadable import MAX_UNREADABLE, check_share, report_unreadable
from .decision import Decision
from .decision_metrics import decision_metrics
from .errors import DataError
from .image import ImageContract, Pixels
from .metrics import classification_metrics
from .remarks import Remarks, messages, tally
from .text import note

LEAST = float(np.finfo(np.float32).tiny)
BLOCK = 4096
NAMED = 3  # labels in a message

Found: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32] | None]  # probabilities and familiarity


class Answers(NamedTuple):
    """Answers to labelled images.

    data: name of the data set.
    images: which of its images: "images" or "test images".
    targets: int64 [N], in the order of the artefact's labels.
    probabilities: float32 [N, K].
    familiarity: float32 [N]; None where the artefact cannot tell.
    decision: the artefact's.
    """

    data: str
    images: str
    targets: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    familiarity: NDArray[np.float32] | None = None
    decision: Decision | None = None


def answer(
    classifier: Classifier, name: str, *, data_dir: Path, whole: bool = False, column: str | None = None,
    label_column: str | None = None, max_unreadable: float = MAX_UNREADABLE,
) -> Answers:  # fmt: skip
    """Classify the labelled images of a data set: its test images.

    Where it has none, and holds images that the model was trained on, the fifth that the training held out; else all.

    name: of the data set, or its path, as for `open_labelled`.
    data_dir: folder of data sets that have a name.
    whole: whether to take all of its images.
    column, label_column: as for `open_labelled`.
    max_unreadable: share of the images that may be unreadable, 0-1.
    Raises DataError, InputError and MissingExtraError.
    """
    if name in NAMES:
        return _of_arrays(classifier, name, *_known(name, data_dir), whole=whole)
    source = open_labelled(name, column=column, label_column=label_column)
    return _of_source(classifier, source, whole=whole, max_unreadable=max_unreadable)


def figures(labels: Sequence[str], found: Answers) -> dict[str, Any]:
    """Compute accuracy (0-1), loss (mean cross-entropy in nats), `classification_metrics` and `decision_metrics`.

    A probability of 0 counts as 1e-38 in the loss, 87 nats: float32 has no smaller ones.
    """
    right = found.probabilities[np.arange(len(found.targets)), found.targets].astype(np.float64)  # [N]
    return {
        "data": found.data,
        "images": len(found.targets),
        "which": found.images,
        "accuracy": float((found.probabilities.argmax(axis=1) == found.targets).mean()),
        "loss": float(-np.log(right.clip(min=LEAST)).mean()),
        **classification_metrics(labels, found.targets, found.probabilities),
        **({"decision": _decided(labels, found, found.decision)} if found.decision else {}),
    }


def _decided(labels: Sequence[str], found: Answers, decision: Decision) -> dict[str, Any]:
    return decision_metrics(decision, labels, found.targets, found.probabilities, found.familiarity)


def places(where: str, theirs: Sequence[str], ours: Sequence[str]) -> NDArray[np.int64]:
    """Find each of a data set's labels among the model's: int64 [K]. Raises DataError where it has others."""
    if others := [label for label in theirs if label not in ours]:
        check_distinct(where, {"the model": [label for label in ours if label not in theirs], "the data": others})
        raise DataError(
            f"{where}: expected some of the model's {len(ours)} labels {_few(ours)}, found also {_few(others)}: rename "
            "these, or leave them out"
        )
    return np.array([ours.index(label) for label in theirs], np.int64)


def _known(name: str, root: Path) -> tuple[tuple[str, ...], dict[str, Arrays]]:
    try:
        return read_known(name, root)
    except OSError:
        folder, files = root / KNOWN[name].folder, ", ".join(KNOWN[name].files)
        raise DataError(
            f"{name}: expected the files {files} in {folder}, found not all of them: copy them there, name the folder "
            f"with --data-dir or KIT_DATA_DIR, or let `kit train --data {name}` download them"
        ) from None


def _of_arrays(
    classifier: Classifier, name: str, labels: tuple[str, ...], parts: Mapping[str, Arrays], *, whole: bool
) -> Answers:
    chosen = list(parts) if whole else ["test"]
    place, contract = places(name, labels, classifier.labels), classifier.metadata.image
    found = [
        classifier.with_familiarity(_conform(contract, parts[part].images[start : start + BLOCK]))
        for part in chosen
        for start in range(0, len(parts[part].targets), BLOCK)
    ]
    targets = np.concatenate([place[parts[part].targets] for part in chosen])
    return _answers(classifier, name, "images" if whole else "test images", targets, found)


def _answers(classifier: Classifier, name: str, images: str, targets: NDArray[np.int64], found: list[Found]) -> Answers:
    """Join the answers to blocks of images."""
    probabilities, scores = zip(*found, strict=True)
    familiarity = np.concatenate(scores) if classifier.metadata.has_familiarity else None
    return Answers(name, images, targets, np.concatenate(probabilities), familiarity, classifier.metadata.decision)


def _conform(contract: ImageContract, images: Pixels) -> Pixels:
    return images if images.shape[1:] == contract.shape else np.stack([contract.pixels(image) for image in images])


def _of_source(classifier: Classifier, source: LabelledSource, *, whole: bool, max_unreadable: float) -> Answers:
    place, parts = places(source.images.where, source.labels, classifier.labels), source.targets()
    first = 0 if whole or "test" not in parts else sum(map(len, parts.values())) - len(parts["test"])
    images = Rest(source.images, first)
    ours, theirs = read_fingerprints(classifier.metadata.provenance.get("fingerprints")), set()
    found: list[Found] = []
    unreadable: dict[str, str] = {}
    remarks: list[Remarks] = []
    done, contract = 0, classifier.metadata.image
    for pixels, reasons, noticed in decode_all(images, contract):
        if len(pixels):
            found.append(classifier.with_familiarity(pixels))
        theirs |= {fingerprint(image) for image in pixels} if ours else set()
        unreadable |= {images.name(done + position): reason for position, reason in reasons.items()}
        remarks += noticed.values()
        done += len(pixels) + len(reasons)
    if not found:
        raise DataError(f"{images.where}: expected images that can be read, found none of {done}: name other data")
    if unreadable:
        check_share(images.where, unreadable, done, max_unreadable)
        report_unreadable(source.name, unreadable, done)
    for message in messages(tally(remarks, contract.shift), done - len(unreadable), contract.shift):
        note(f"{source.name}: {message}")
    parts = source.targets(unreadable)
    targets = place[np.concatenate(list(parts.values()))]
    if first:
        count = done - len(unreadable)
        return _answers(classifier, source.name, "test images", targets[-count:], found)
    answers = _answers(classifier, source.name, "images", targets, found)
    if whole or "train" not in parts or (ours and not ours & theirs):
        return answers
    check_counts(images.where, source.labels, parts["train"], 2)
    rows = hold_out(parts["train"], TEST_SHARE, seed=_seed(classifier))[1]
    scores = None if answers.familiarity is None else answers.familiarity[rows]
    return answers._replace(
        images="test images",
        targets=targets[rows],
        probabilities=answers.probabilities[rows],
        familiarity=scores,
    )


def _seed(classifier: Classifier) -> int:
    settings = classifier.metadata.provenance.get("settings")
    seed = settings.get("seed") if isinstance(settings, dict) else None
    return seed if isinstance(seed, int) else 0


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(map(repr, names[:NAMED])) + more

"""An artefact against the trained model on the test images of a data set, with the accuracy of both."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.errors import needs_extra
from runtime.image import ImageContract, Pixels

from ..arithmetic.bound import Proof
from ..errors import ExportError
from .parity import Answer, Artefact, Gate, answers, compare

NAMED = 3  # labels in a message


class Subject(Protocol):
    """A model to load images for: a checkpoint, or an artefact's metadata."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The K class names, in output order."""
        ...

    @property
    def image(self) -> ImageContract:
        """The image contract."""
        ...

    @property
    def provenance(self) -> Mapping[str, Any]:
        """JSON; `settings` are those of the training."""
        ...


@dataclass(frozen=True, kw_only=True)
class LabelledImages:
    """Images with their classes.

    name: name of the data set.
    labels: K class names.
    images: uint8 [N, H, W, C].
    targets: int64 [N], in 0..K-1.
    """

    name: str
    labels: tuple[str, ...]
    images: Pixels
    targets: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The result of a comparison on a data set.

    data: name of the data set.
    images: number of images compared.
    max_difference: largest difference in probability.
    label_flips: number of labels that differ.
    accuracy: the artefact's, 0-1.
    trained_accuracy: the trained model's, 0-1.
    certain: share of images whose label provably does not differ; None where the model is not the kit's own.
    decision_flips: number of answers that one of the two accepts and the other does not.
    decided: share of images whose decision provably does not differ; None without thresholds.
    """

    data: str
    images: int
    max_difference: float
    label_flips: int
    accuracy: float
    trained_accuracy: float
    certain: float | None
    decision_flips: int = 0
    decided: float | None = None


def load_images(subject: Subject, name: str, data_dir: Path | None) -> LabelledImages:
    """Load the test images of a data set as the model's contract has them, with targets in the order of its labels.

    A folder without test images is split with the random seed of the training.

    subject: the model.
    name: data set, named as for `kit train --data`.
    data_dir: folder of torchvision's data sets; None for the default.
    Raises ExportError where the labels are not the model's, DataError for data that cannot be loaded, and
    MissingExtraError.
    """
    with needs_extra("train", "loading a data set"):
        from trainer.data.load import load_data
    settings = subject.provenance.get("settings")
    seed = settings.get("seed") if isinstance(settings, dict) else None
    data = load_data(name, data_dir=data_dir, contract=subject.image, seed=seed if isinstance(seed, int) else 0)
    places = _places(data.name, data.labels, subject.labels)
    return LabelledImages(
        name=data.name,
        labels=subject.labels,
        images=data.test.images.numpy(),
        targets=places[data.test.targets.numpy()],
    )


def verify(
    artefact: Artefact,
    data: LabelledImages,
    trained: Answer,
    gate: Gate,
    prove: Callable[[Pixels], Proof] | None = None,
) -> Verification:
    """Compare an artefact with the trained model on every image of a data set.

    trained: the trained model.
    prove: returns the proof for images; None where there is none.
    Raises ParityError, and ExportError where image size or labels are not the model's.
    """
    metadata = artefact.metadata
    if data.labels != metadata.labels or data.images.shape[1:] != metadata.image.shape or not len(data.images):
        raise ExportError(
            f"expected images {list(metadata.image.shape)} of the model's {len(metadata.labels)} classes "
            f"({', '.join(metadata.labels[:3])}, …), found {len(data.images)} images {list(data.images.shape[1:])} of "
            f"{len(data.labels)} classes ({', '.join(data.labels[:3])}, …): verify on data like the training data"
        )
    found, expected = answers(artefact.probabilities, data.images), answers(trained, data.images)
    names = [f"image {i} of {data.name}" for i in range(len(data.images))]
    parity = compare(found, expected, names, metadata.labels, gate)
    proof = prove(data.images) if prove else None
    return Verification(
        data=data.name,
        images=parity.images,
        max_difference=parity.max_difference,
        label_flips=parity.label_flips,
        accuracy=float((found.argmax(axis=1) == data.targets).mean()),
        trained_accuracy=float((expected.argmax(axis=1) == data.targets).mean()),
        certain=proof.certain if proof else None,
        decision_flips=parity.decision_flips,
        decided=proof.decided if proof else None,
    )


def _places(name: str, theirs: tuple[str, ...], ours: tuple[str, ...]) -> NDArray[np.int64]:
    """Return the index of each of the data set's labels among the model's: int64 [K]. Raises ExportError."""
    if set(theirs) != set(ours):
        differences = [
            *_listed("lacks", [label for label in ours if label not in theirs]),
            *_listed("has besides", [label for label in theirs if label not in ours]),
        ]
        raise ExportError(
            f"{name}: expected the model's {len(ours)} labels, found {len(theirs)}; it {' and '.join(differences)}: "
            "evaluate on data of the same labels"
        )
    return np.array([ours.index(label) for label in theirs], np.int64)


def _listed(verb: str, labels: list[str]) -> list[str]:
    more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
    return [f"{verb} {', '.join(map(repr, labels[:NAMED]))}{more}"] if labels else []

"""An artefact against the trained model over a whole data set, with the accuracy of both."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.image import Pixels

from .bound import Proof
from .errors import ExportError
from .parity import Answer, Artefact, Gate, answers, compare


@dataclass(frozen=True, kw_only=True)
class LabelledImages:
    """name: of the data set. labels: its class names. images: uint8 [N, H, W, C]. targets: int64 [N], in 0..K-1."""

    name: str
    labels: tuple[str, ...]
    images: Pixels
    targets: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Verification:
    """data: name of the data set. images: how many. max_difference: in probability. label_flips: labels that differ.

    accuracy: the artefact's. trained_accuracy: the trained model's. certain: share of the images whose label is proved
    not to differ; None where the model is not the kit's own.
    """

    data: str
    images: int
    max_difference: float
    label_flips: int
    accuracy: float
    trained_accuracy: float
    certain: float | None


def verify(
    artefact: Artefact,
    data: LabelledImages,
    trained: Answer,
    gate: Gate,
    prove: Callable[[Pixels], Proof] | None = None,
) -> Verification:
    """Compare on every image of a data set. Raises ParityError, and ExportError where the data are of another kind."""
    metadata = artefact.metadata
    if data.labels != metadata.labels or data.images.shape[1:] != metadata.image.shape or not len(data.images):
        raise ExportError(
            f"expected images {list(metadata.image.shape)} of the {len(metadata.labels)} classes that the model knows "
            f"({', '.join(metadata.labels[:3])}, …), found {len(data.images)} images {list(data.images.shape[1:])} of "
            f"{len(data.labels)} classes ({', '.join(data.labels[:3])}, …): verify on data like the training data"
        )
    found, expected = answers(artefact.probabilities, data.images), answers(trained, data.images)
    names = [f"image {i} of {data.name}" for i in range(len(data.images))]
    parity = compare(found, expected, names, metadata.labels, gate)
    return Verification(
        data=data.name,
        images=parity.images,
        max_difference=parity.max_difference,
        label_flips=parity.label_flips,
        accuracy=float((found.argmax(axis=1) == data.targets).mean()),
        trained_accuracy=float((expected.argmax(axis=1) == data.targets).mean()),
        certain=prove(data.images).certain if prove else None,
    )

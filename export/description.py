"""What an artefact of a checkpoint carries beside its graph."""

from typing import Any

import numpy as np

from runtime.artefact import FAMILIARITY, FEATURES, PLAIN_VERSION, Metadata
from runtime.digest import digest
from runtime.golden import PNG_ROWS, Golden
from trainer.checkpoint import Checkpoint
from trainer.data.features import Features

from .appearance import pixel_statistics
from .arithmetic.bound import Proof
from .arithmetic.fold import Numbers
from .arithmetic.head import Head
from .arithmetic.quantise import Quantised
from .gate.parity import reference_probabilities

LARGE = 64 * 2**10  # bytes of golden images that are worth compressing
LARGEST_GOLDEN, FEWEST_GOLDEN = 512 * 2**10, 2  # bytes and number of golden images beside a features graph


def describe(
    checkpoint: Checkpoint, tolerance: float, proof: Proof, numbers: Numbers | Quantised, *, familiar: bool = False
) -> Metadata:
    """Collect what an artefact of this checkpoint, with these numbers, carries beside its graph.

    familiar: whether its format may have the output `familiarity`.
    """
    provenance = {**checkpoint.provenance, "checkpoint": checkpoint.digest(), "proof": proof.to_json()}
    images, probabilities = checkpoint.golden_images, checkpoint.golden_probabilities
    extra: dict[str, Any] = {}
    if isinstance(numbers, Head) and checkpoint.features:
        few = max(FEWEST_GOLDEN, LARGEST_GOLDEN // images[0].nbytes)
        images, probabilities = images[:few], probabilities[:few]
        provenance["features"] = _origin(checkpoint.features, numbers.features)
        extra = {"outputs": (FEATURES,), "licences": _licences(checkpoint.features)}
    elif not isinstance(numbers, Head):
        extra = {"centre": numbers.centre}
    if checkpoint.decision:  # it changes the probabilities, and came after them
        probabilities = reference_probabilities(checkpoint, images).astype(np.float32)
    decision = checkpoint.decision
    if decision and decision.familiarity:
        if familiar:
            extra["outputs"] = (*extra.get("outputs", ()), FAMILIARITY)
        else:
            decision = decision._replace(familiarity=None)
    metadata = Metadata(
        labels=checkpoint.labels,
        image=checkpoint.image,
        pixel_statistics=pixel_statistics(checkpoint.mean, checkpoint.std, checkpoint.sample_images),
        golden=Golden(images=images, probabilities=probabilities, tolerance=tolerance),
        provenance=provenance,
        decision=decision,
        **extra,
    )
    if metadata.version == PLAIN_VERSION or images.nbytes <= LARGE:
        return metadata
    return metadata._replace(golden=metadata.golden._replace(encoding=PNG_ROWS))


def _origin(trained: Features, written: Features) -> dict[str, Any]:
    """Say which graph the model was trained on, and how it was quantised, if it was."""
    graph, changes = digest(trained.graph.tobytes()), written.about.get("int8")
    found = {"name": trained.name, "size": trained.size, "digest": graph, "about": dict(trained.about)}
    return found | ({"int8": changes} if changes else {})


def _licences(features: Features) -> tuple[dict[str, Any], ...]:
    """Return the licence of the graph's weights, where it is stated."""
    weights = features.about.get("weights", features.about)
    licence = weights.get("licence") if isinstance(weights, dict) else None
    known = isinstance(licence, str) and licence
    return ({"part": f"weights of {features.name}", "licence": licence},) if known else ()

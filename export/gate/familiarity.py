"""An artefact's output `familiarity` against the checkpoint's graph in float64, on real images."""

import numpy as np
from numpy.typing import NDArray
from onnx import load_model_from_string
from onnx.reference import ReferenceEvaluator

from runtime.artefact import FAMILIARITY, FEATURES, INPUT
from runtime.session import open_session
from trainer.checkpoint import Checkpoint

from ..errors import ParityError
from ..features.running import features_of
from .float64 import doubled
from .parity import Gate

IMAGES = 16
TOLERANCE = 1e-4  # share of a score, or of 1 where that is larger


def check_familiarity(data: bytes, checkpoint: Checkpoint, gate: Gate) -> None:
    """Compare the scores of golden and training images, and which of these are familiar.

    data: the artefact's content.
    Raises ParityError. An artefact that approximates the model's features may differ for as many as of the labels.
    """
    decision, graph = checkpoint.decision, checkpoint.familiarity
    if not decision or not decision.familiarity or graph is None:
        return
    images = np.concatenate([checkpoint.golden_images, checkpoint.sample_images])[:IMAGES]
    found = np.concatenate([open_session(data).run([FAMILIARITY], {INPUT: images})[0]]).astype(np.float64)
    expected = _in_float64(graph, checkpoint, images)
    limit = TOLERANCE * np.maximum(1, np.abs(expected))
    least = decision.familiarity.threshold
    clear = np.abs(expected - least) > limit
    flips = ((found >= least) != (expected >= least)) & clear
    exact = gate.agreement == 1 or checkpoint.features is None
    wrong = ~(np.abs(found - expected) <= limit) if exact else flips
    allowed = 0 if exact else int(np.ceil((1 - gate.agreement) * len(images)))
    if wrong.sum() > allowed:
        first = int(np.flatnonzero(wrong)[0])
        raise ParityError(
            f"expected the familiarity of the trained model, {expected[first]:.6g} for image {first}, found "
            f"{found[first]:.6g}: report it with the checkpoint; the file was not kept"
        )


def _in_float64(graph: NDArray[np.uint8], checkpoint: Checkpoint, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    model = load_model_from_string(graph.tobytes())
    given: dict[str, NDArray[np.generic]] = {INPUT: images}
    if checkpoint.features and FEATURES in [value.name for value in model.graph.input]:
        given[FEATURES] = features_of(checkpoint.features, images).astype(np.float64)
    (found,) = ReferenceEvaluator(doubled(model)).run([FAMILIARITY], given)
    return np.asarray(found, np.float64)

"""Ends a fit with a decision: runs the held-out images through the finished model, and puts what is found beside it."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.decision import Decision

from ..checkpoint import Checkpoint
from ..config import FitConfig
from ..errors import ConfigError
from .calibration import Calibration, losses
from .deciding import Decided, decide, familiarity, softmax

if TYPE_CHECKING:
    from ..data.dataset import Split

BLOCK = 4096


def concluded(
    checkpoint: Checkpoint, train: "Split", held_out: "Split", test: "Split", config: FitConfig
) -> tuple[Checkpoint, Decided]:
    """Decide on held-out images; return the checkpoint with the decision, and what was found.

    checkpoint: of a finished fit.
    train: the images that were fitted to.
    held_out: images that the fit has not seen, with what the regression sees of them.
    test: for the final figures, which calibration changes.
    """
    if config.familiarity:
        checkpoint = with_familiarity(checkpoint, train, held_out, seed=config.seed)
    logits, targets = logits_of(checkpoint, held_out), held_out.targets.cpu().numpy()
    found = decide(logits, targets, checkpoint.labels, config.demands, seed=config.seed)
    return with_decision(checkpoint, found, logits, targets, test=test), found


def with_familiarity(checkpoint: Checkpoint, train: "Split", held_out: "Split", *, seed: int) -> Checkpoint:
    """Add the graph that tells images like the training images from others, and its threshold. Raises ConfigError."""
    from ..features.familiarity import familiarity_graph, scores

    graph = familiarity_graph(train, checkpoint.features, seed=seed)
    found = familiarity(scores(graph, held_out, checkpoint.features))
    if found is None:
        raise ConfigError(
            f"familiarity: expected at least 99 training images to hold out, found {len(held_out)}: leave out "
            "--familiarity, or train on more images"
        )
    return replace(checkpoint, familiarity=graph, decision=Decision(familiarity=found))


def with_decision(
    checkpoint: Checkpoint, found: Decided, logits: NDArray[np.float32], targets: NDArray[np.int64], *,
    test: "Split | None",
) -> Checkpoint:  # fmt: skip
    """Put a decision into a checkpoint, with the logits of the images that it was found on, in place of an earlier one.

    test: None to leave the final figures as they are.
    """
    provenance = {**checkpoint.provenance, "decision": found.about}
    if test is not None:
        provenance["figures"] = checkpoint.provenance["figures"] | _figures(checkpoint, found, test)
    earlier = checkpoint.decision or Decision()
    decision = found.decision._replace(familiarity=earlier.familiarity)
    return replace(
        checkpoint, decision=decision, provenance=provenance, held_out_logits=logits, held_out_targets=targets
    )


def logits_of(checkpoint: Checkpoint, split: "Split") -> NDArray[np.float32]:
    """The logits of images before calibration: float32 [N, K]."""
    images = split.inputs.images
    blocks = [checkpoint.logits(block.cpu().numpy()) for block in images.split(BLOCK)]
    return np.concatenate([block.astype(np.float32) for block in blocks])


def probabilities_of(checkpoint: Checkpoint, split: "Split") -> NDArray[np.float32]:
    """The probabilities of images, calibrated: float32 [N, K]."""
    temperature, bias = checkpoint.calibration()
    return softmax(logits_of(checkpoint, split).astype(np.float64) / temperature + bias).astype(np.float32)


def _figures(checkpoint: Checkpoint, found: Decided, test: "Split") -> dict[str, Any]:
    """Return the test loss and accuracy, where calibration changes them."""
    calibration = Calibration(found.decision.temperature, found.decision.bias)
    if calibration == Calibration():
        return {}
    logits, targets = calibration(logits_of(checkpoint, test).astype(np.float64)), test.targets.cpu().numpy()
    right = logits.argmax(axis=1) == targets
    return {"test_loss": float(losses(logits, targets).mean()), "test_accuracy": float(right.mean())}

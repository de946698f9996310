"""Runs a features graph in float32, as the trainer and the artefact do."""

import numpy as np
from numpy.typing import NDArray

from runtime.artefact import FEATURES, INPUT
from runtime.errors import ArtefactError
from runtime.image import Pixels
from runtime.origin import raised_by
from runtime.processes import cpus
from runtime.session import ONNXRUNTIME, Settings, open_session
from runtime.text import one_line
from trainer.data.features import Features

from ..errors import ExportError

BLOCK = 32  # images at a time: a deep network needs some 10 MB for each


def features_of(features: Features, images: Pixels) -> NDArray[np.float32]:
    """Compute the features of images with onnxruntime.

    images: uint8 [N, H, W, C].
    Returns float32 [N, D]. Raises ExportError where onnxruntime cannot run the graph, or it gives another shape.
    """
    found = [np.empty((0, features.size), np.float32)]
    try:
        session = open_session(features.graph.tobytes(), Settings(threads=cpus()))
        for start in range(0, len(images), BLOCK):
            found += session.run([FEATURES], {INPUT: images[start : start + BLOCK]})
        return np.concatenate(found)
    except Exception as error:  # onnxruntime's own errors share no base class
        if not isinstance(error, (ArtefactError, ValueError)) and not raised_by(error, ONNXRUNTIME):
            raise
        raise ExportError(
            f"expected the features graph {features.name!r} to give [N, {features.size}] features for images "
            f"{list(images.shape[1:])}, found that it does not ({one_line(error)}): train again"
        ) from error

"""What a frozen graph makes of images, for the regression to be fitted to. Needs no torch."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.digest import digest

UNSTATED = "NOASSERTION"  # a licence, as SPDX has it
COMMON, OWN = "common", "own"  # scaling of features: one scale for all, or one for each as of pixels


class Features(NamedTuple):
    """A frozen graph, of whose output the regression is.

    name: of the graph.
    size: numbers that it makes of an image, D.
    graph: uint8 [B], the bytes of its ONNX file: uint8 images [N, H, W, C] → float32 [N, D].
    about: more about it, JSON: the licence of its weights.
    """

    name: str
    size: int
    graph: NDArray[np.uint8]
    about: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Say which graph it is, without its bytes."""
        return {"name": self.name, "size": self.size, "digest": digest(self.graph.tobytes()), **self.about}


def same_features(one: Features | None, other: Features | None) -> bool:
    """Whether both are pixels, or the same graph."""
    if one is None or other is None:
        return one is other
    return np.array_equal(one.graph, other.graph)

"""What computes an artefact's graph: onnxruntime, or numpy where that is not installed."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Protocol

from .artefact import FAMILIARITY, FEATURES, INPUT, OUTPUT, Metadata
from .errors import ArtefactError
from .seal import LITERT, format_of
from .session import AUTO, ONNXRUNTIME, OnnxruntimeSession, Settings, onnxruntime

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from .image import Pixels

NUMPY = "numpy"
BACKENDS = (AUTO, ONNXRUNTIME, NUMPY)
TYPES = {"tensor(float)": "float32", "tensor(double)": "float64"}
OPTIONAL_OUTPUTS = {FEATURES: "float32 [N, D]", FAMILIARITY: "float32 [N]"}


class Session(Protocol):
    """A graph, ready to run.

    backend, version: what runs it. library: the name of that library, as in its errors.
    providers: onnxruntime's; empty for others.
    props, producer: the file's metadata, and what wrote it.
    inputs, outputs: the graph's, each with `name`, `type` as in tensor(uint8), and `shape`.
    """

    backend: str
    library: str
    version: str
    providers: Sequence[str]
    props: Mapping[str, str]
    producer: str
    inputs: Sequence[Any]
    outputs: Sequence[Any]

    def prepare(self, names: Sequence[str]) -> None:
        """Get ready to compute outputs. Raises ArtefactError where the graph cannot be run."""

    def run(self, names: Sequence[str], pixels: Pixels) -> list[NDArray[np.float32]]:
        """Compute outputs for images uint8 [N, H, W, C], N ≥ 1."""

    def bind(self, metadata: Metadata) -> tuple[Any, ...]:
        """Make buffers of one thread for one image.

        Returns the function that runs the graph, its argument, the input buffers by the image's shape, the
        probabilities [K], and the familiarity [1], or None where no decision needs it.
        """


def open_backend(model: bytes, settings: Settings) -> Session:
    """Open an artefact's content, whose seal has been checked. Raises ArtefactError."""
    if format_of(model).startswith(LITERT):
        from .litert import LiteRtSession

        return LiteRtSession(model, settings)
    if chosen(settings.backend) == ONNXRUNTIME:
        return OnnxruntimeSession(model, settings)
    if settings._replace(backend=AUTO) != Settings():
        raise ArtefactError(
            "expected no threads, spinning or providers for the backend numpy, found some: leave them out, or pip "
            "install onnxruntime"
        )
    if format_of(model) == "ort":
        raise ArtefactError(
            "expected an .onnx file for the backend numpy, found onnxruntime's own format: export with --format onnx"
        )
    from .numpy_backend.session import NumpySession

    return NumpySession(model)


def chosen(backend: str) -> str:
    """Choose for "auto": what KIT_BACKEND says, else onnxruntime where it is installed. Raises ArtefactError."""
    if backend == AUTO:
        backend = os.environ.get("KIT_BACKEND") or AUTO
    if backend not in BACKENDS:
        raise ArtefactError(f"expected a backend out of {', '.join(BACKENDS)}, found {backend!r}")
    if backend == NUMPY:
        return NUMPY
    try:
        onnxruntime()
    except ModuleNotFoundError as error:
        if error.name != ONNXRUNTIME:
            raise
        if backend != AUTO:
            raise ArtefactError(
                "expected the backend onnxruntime, found that it is not installed: pip install onnxruntime, or choose "
                "numpy"
            ) from None
        return NUMPY
    return ONNXRUNTIME


def check_signature(session: Session, metadata: Metadata) -> None:
    """Compare the graph's input and outputs with the artefact's. Raises ArtefactError where they differ."""
    image, outputs = ", ".join(map(str, metadata.image.shape)), [_signature(node) for node in session.outputs]
    types = OPTIONAL_OUTPUTS | {OUTPUT: f"float32 [N, {len(metadata.labels)}]"}
    due = [_due(name, types, outputs) for name in (OUTPUT, *metadata.outputs)]
    expected = f"{INPUT}: uint8 [N, {image}] → {', '.join(due)}"
    found = f"{', '.join(map(_signature, session.inputs))} → {', '.join(outputs)}"
    if re.sub(rf"({FEATURES}: float32 \[N), [1-9][0-9]*\]", r"\1, D]", found) != expected:
        raise ArtefactError(f"expected {expected}, found {found}: export it again")


def _due(name: str, types: Mapping[str, str], found: Sequence[str]) -> str:
    """Write an output's name, type and shape as due; one of a later version may have any."""
    if name in types:
        return f"{name}: {types[name]}"
    return next((output for output in found if output.startswith(f"{name}: ")), name)


def _signature(node: Any) -> str:
    """Write a node's name, type and shape; N stands for a free first dimension, whatever its name."""
    shape = ["N" if place == 0 and not isinstance(side, int) else side for place, side in enumerate(node.shape)]
    return f"{node.name}: {type_of(node)} [{', '.join(map(str, shape))}]"


def type_of(node: Any) -> str:
    """Name the type of a graph's input or output as numpy does: float32."""
    return TYPES.get(node.type) or str(node.type).removeprefix("tensor(").removesuffix(")")

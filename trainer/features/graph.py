"""A features graph: the bytes of an ONNX file, from uint8 images [N, H, W, C] to float32 features [N, D]."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ArtefactError
from runtime.origin import raised_by
from runtime.session import ONNXRUNTIME, open_session
from runtime.text import one_line

from ..errors import DataError

if TYPE_CHECKING:
    import onnx

IMAGES, FEATURES = "images", "features"
OPSET, IR_VERSION = 13, 7  # loaded by every onnxruntime from 1.15 on
Images: TypeAlias = NDArray[np.uint8]  # [N, H, W, C]
Features: TypeAlias = NDArray[np.float32]  # [N, D]
TOLERANCE = 1e-3  # times the largest feature: how far float32 sums may differ by the batch size


class Graph(NamedTuple):
    """A features graph, with what a checkpoint says of it.

    data: an ONNX file, input `images` uint8 [N, H, W, C], output `features` float32 [N, D]; it normalises the pixels.
    size: numbers that it makes of an image, D.
    about: where it comes from, JSON: its weights' digest, licence and source, and the pixels' mean and scale; and the
        names of nodes for which 8 bits are too few, "in_float".
    """

    data: bytes
    size: int
    about: Mapping[str, Any]


def finished(model: onnx.ModelProto, name: str) -> bytes:
    """Check a model and serialise it: the same bytes for the same model, without its source. Raises DataError."""
    import onnx

    _forget_source(model)
    model.graph.name, model.producer_name, model.ir_version = "features", "softmax-kit", IR_VERSION
    for field in ("producer_version", "domain", "model_version"):
        model.ClearField(field)
    try:
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        RuntimeError,
        UnicodeError,
        ValueError,
    ) as error:
        raise DataError(
            f"{name}: expected an ONNX file that onnx.checker passes, found one that it refuses ({one_line(error)}): "
            "export it again"
        ) from None


def opened(data: bytes, name: str) -> Callable[[Images], Features]:
    """Open a features graph. Raises DataError where onnxruntime refuses it.

    name: of the graph, for messages.
    Returns a function from images to features, which raises DataError where the graph cannot run on them.
    """
    try:
        session = open_session(data)
    except ArtefactError as error:
        raise DataError(f"{name}: {error}") from None

    def run(images: Images) -> Features:
        try:
            return np.asarray(session.run([FEATURES], {IMAGES: images})[0])
        except Exception as error:  # onnxruntime's own errors share no base class
            if not raised_by(error, ONNXRUNTIME):
                raise
            raise DataError(
                f"{name}: expected a graph that runs on {len(images)} images {list(images.shape[1:])}, found one that "
                f"fails ({one_line(error)}): export it for images of this size, with a free batch size"
            ) from None

    return run


def checked_size(data: bytes, shape: tuple[int, int, int], name: str) -> int:
    """Run a graph on random images, one by one and together. Returns D. Raises DataError.

    shape: of an image, [H, W, C].
    It has to give finite float32 [N, D], the same for an image whatever is beside it.
    """
    run = opened(data, name)
    images = np.random.default_rng(0).integers(0, 256, (3, *shape), np.uint8)
    together = run(images)
    if together.dtype != np.float32 or together.ndim != 2 or len(together) != len(images) or not together.shape[1]:
        raise DataError(
            f"{name}: expected features of float32 [N, D], found {together.dtype} {list(together.shape)} for "
            f"{len(images)} images: name another output with --features-output"
        )
    if not np.isfinite(together).all():
        raise DataError(
            f"{name}: expected finite features, found NaN or infinity for random pixels: check its weights, and the "
            "mean and scale of its pixels"
        )
    single = np.concatenate([run(image[None]) for image in images])
    if single.shape != together.shape or np.abs(single - together).max() > TOLERANCE * np.abs(together).max():
        raise DataError(
            f"{name}: expected the features of an image to be the same whatever is beside it, found others: "
            "export it in eval mode, with a free batch size"
        )
    return int(together.shape[1])


def _forget_source(message: Any) -> None:
    """Remove descriptions and source locations, which may contain paths of a machine, from an ONNX message."""
    for name in ("metadata_props", "doc_string"):
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
    for field, value in message.ListFields():
        if field.message_type:
            for part in [value] if hasattr(value, "ListFields") else value:
                _forget_source(part)

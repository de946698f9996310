"""From an image to a label: `load` opens an artefact, `Classifier` runs it, `classify` does both in one call."""

from __future__ import annotations

import hashlib
import os
import platform
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import artefact
from .artefact import Metadata
from .errors import ArtefactError, InputError, SelfTestError
from .image import ImageLike, Pixels
from .session import onnxruntime, open_session

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

ModelPath: TypeAlias = "str | os.PathLike[str]"

MAX_MODEL_BYTES = 2 * 2**30


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one image.

    label: the class name. probability: of that class, 0-1. index: of that class in `Classifier.labels`.
    top: (label, probability) pairs, best first, as many as were asked for.
    """

    label: str
    probability: float
    index: int
    top: list[tuple[str, float]]


class Classifier:
    """An opened artefact. Safe to share between threads. Made by `load`."""

    def __init__(self, session: InferenceSession, metadata: Metadata, digest: str) -> None:
        _check_signature(session, metadata)
        self._session = session
        self._metadata = metadata
        self._digest = digest
        self._batch_shape = metadata.image.shape

    @property
    def labels(self) -> tuple[str, ...]:
        """The K class names, in output order."""
        return self._metadata.labels

    @property
    def metadata(self) -> Metadata:
        """All that the artefact carries beside its graph."""
        return self._metadata

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """Probabilities of every class for images of the model's size.

        pixels: uint8 [N, H, W, C], N ≥ 0. Returns float32 [N, K], rows sum to 1. Raises InputError.
        """
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != self._batch_shape:
            raise InputError(
                f"expected uint8 [N, {', '.join(map(str, self._batch_shape))}], got {_describe(pixels)}: "
                "classify_batch takes images of other sizes"
            )
        result: NDArray[np.float32] = self._session.run(None, {artefact.INPUT: pixels})[0]
        return result

    def classify(self, image: ImageLike, *, top_k: int = 1) -> Prediction:
        """Classify one image: a uint8 array, a Pillow image, a path, or the bytes of an encoded image.

        top_k: how many classes `Prediction.top` lists, at least 1; more than there are means all. Raises InputError.
        """
        _check_top_k(top_k)
        return self._prediction(self.probabilities(self._metadata.image.pixels(image)[None])[0], top_k)

    def classify_batch(self, images: Iterable[ImageLike], *, top_k: int = 1) -> list[Prediction]:
        """Classify many images, of any sizes and kinds, in order. Raises InputError, naming the image's position."""
        _check_top_k(top_k)
        pixels = [self._pixels(position, image) for position, image in enumerate(images)]
        if not pixels:
            return []
        return [self._prediction(row, top_k) for row in self.probabilities(np.stack(pixels))]

    def info(self) -> dict[str, Any]:
        """Say what is running: digest of the file, labels, image contract, provenance, provider, versions."""
        return {
            "digest": self._digest,
            "format": artefact.VERSION,
            "labels": list(self.labels),
            "image": asdict(self._metadata.image),
            "provenance": dict(self._metadata.provenance),
            "providers": self._session.get_providers(),
            "versions": {
                "numpy": np.__version__,
                "onnxruntime": onnxruntime().__version__,
                "python": platform.python_version(),
            },
        }

    def selftest(self) -> float:
        """Run the golden examples on this device and compare with the trained model's probabilities.

        Returns the largest difference. Raises SelfTestError where it is more than the artefact's tolerance.
        """
        golden = self._metadata.golden
        difference = np.abs(self.probabilities(golden.images) - golden.probabilities).max(axis=1)
        worst = int(difference.argmax())
        if not difference[worst] <= golden.tolerance:
            raise SelfTestError(
                f"expected golden example {worst} within {golden.tolerance:g} of the trained model's probabilities, "
                f"found a difference of {difference[worst]:.3g}: do not use this file on this device"
            )
        return float(difference[worst])

    def _pixels(self, position: int, image: ImageLike) -> Pixels:
        try:
            return self._metadata.image.pixels(image)
        except InputError as error:
            raise InputError(f"image {position}: {error}") from None

    def _prediction(self, probabilities: NDArray[np.float32], top_k: int) -> Prediction:
        order = np.argsort(-probabilities, kind="stable")[:top_k].tolist()
        labels = self._metadata.labels
        top = [(labels[index], float(probabilities[index])) for index in order]
        return Prediction(label=top[0][0], probability=top[0][1], index=order[0], top=top)


def load(model: ModelPath) -> Classifier:
    """Open an ONNX artefact. Raises ArtefactError where the file is missing, damaged or no artefact of the kit."""
    path = Path(model)
    data = _read(path)
    try:
        session = open_session(data)
        metadata = artefact.from_props(session.get_modelmeta().custom_metadata_map)
        return Classifier(session, metadata, f"sha256:{hashlib.sha256(data).hexdigest()}")
    except ArtefactError as error:
        raise ArtefactError(f"{path}: {error}") from None


def classify(image: ImageLike, *, model: ModelPath, top_k: int = 1) -> Prediction:
    """Classify one image with the artefact at `model`, which is opened once, and again only when the file changes.

    Takes the images that `Classifier.classify` takes. Raises ArtefactError and InputError.
    """
    return _opened(os.path.abspath(model)).classify(image, top_k=top_k)  # noqa: PTH100 - Path costs more than the model


_cache: dict[str, tuple[tuple[int, int, int], Classifier]] = {}
_cache_lock = threading.Lock()


def _opened(path: str) -> Classifier:
    try:
        stat = os.stat(path)  # noqa: PTH116 - as above
    except (OSError, ValueError):
        return load(path)
    signature = stat.st_mtime_ns, stat.st_size, stat.st_ino
    cached = _cache.get(path)
    if cached is None or cached[0] != signature:
        with _cache_lock:
            cached = _cache.get(path)
            if cached is None or cached[0] != signature:
                cached = _cache[path] = signature, load(path)
    return cached[1]


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_MODEL_BYTES:
            raise ArtefactError(f"{path}: expected an artefact of at most 2 GB, found a larger file")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ArtefactError(
            f"{path}: expected an artefact, found: {reason}: make one with `kit export --format onnx`"
        ) from None
    if data.startswith(b"PK\x03\x04"):
        raise ArtefactError(
            f"{path}: expected an ONNX artefact, found a zip file, as TorchScript writes: "
            "export with `--format onnx`, or open it with torch.jit.load"
        )
    return data


def _check_signature(session: InferenceSession, metadata: Metadata) -> None:
    height, width, channels = metadata.image.shape
    expected = f"images: uint8 [N, {height}, {width}, {channels}] → probabilities: float32 [N, {len(metadata.labels)}]"
    found = " → ".join(
        ", ".join(f"{node.name}: {node.type.removeprefix('tensor(').rstrip(')')} {node.shape}" for node in nodes)
        for nodes in (session.get_inputs(), session.get_outputs())
    )
    inputs, outputs = session.get_inputs(), session.get_outputs()
    fits = (
        len(inputs) == len(outputs) == 1
        and (inputs[0].name, outputs[0].name) == (artefact.INPUT, artefact.OUTPUT)
        and (inputs[0].type, outputs[0].type) == ("tensor(uint8)", "tensor(float)")
        and inputs[0].shape[1:] == [height, width, channels]
        and outputs[0].shape[1:] == [len(metadata.labels)]
        and not isinstance(inputs[0].shape[0], int)
    )
    if not fits:
        raise ArtefactError(f"expected {expected}, found {found}: export it again")


def _check_top_k(top_k: int) -> None:
    if not isinstance(top_k, int) or top_k < 1:
        raise InputError(f"expected top_k of at least 1, got {top_k!r}")


def _describe(value: object) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__

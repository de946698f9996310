"""From an image to a label: `load` opens an artefact, `Classifier` runs it, `classify` does both in one call."""

from __future__ import annotations

import os
import stat
import threading
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from . import artefact
from .artefact import Metadata
from .errors import ArtefactError, InputError, SelfTestError, naming
from .image import ImageLike, Pixels
from .session import CPU, Settings, onnxruntime, open_session
from .skew.first_images import Watch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession

ModelPath: TypeAlias = "str | os.PathLike[str]"

MAX_MODEL_BYTES = 2 * 2**30
BLOCK_BYTES = 8 * 2**20
BLOCK_IMAGES = 256
DECODERS = 8


class Prediction:
    """The answer for one image.

    label: the class name. probability: of that class, 0-1. index: of that class in `Classifier.labels`.
    top: (label, probability) pairs, best first, as many as were asked for.
    """

    __slots__ = ("index", "label", "probability", "top")

    def __init__(self, label: str, probability: float, index: int, top: list[tuple[str, float]]) -> None:
        self.label = label
        self.probability = probability
        self.index = index
        self.top = top

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Prediction) and (self.index, self.top) == (other.index, other.top)

    __hash__ = None  # type: ignore[assignment]  # as a list's, which it holds

    def __repr__(self) -> str:
        return (
            f"Prediction(label={self.label!r}, probability={self.probability!r}, index={self.index}, top={self.top!r})"
        )


class Classifier:
    """An opened artefact. Safe to share between threads, to fork with, and to pickle. Made by `load`."""

    def __init__(self, model: bytes, settings: Settings) -> None:
        digest = artefact.check_seal(model)
        self._model, self._settings = model, settings
        self._session: InferenceSession | None = open_session(model, settings)
        self._metadata = artefact.from_props(self._session.get_modelmeta().custom_metadata_map)
        _check_signature(self._session, self._metadata)
        self._digest = digest
        self._labels = self._metadata.labels
        self._shape = self._metadata.image.shape
        self._watch = Watch(self._metadata.pixel_statistics)
        self._lanes = threading.local()
        self._opening = threading.Lock()
        _everyone.add(self)

    @property
    def labels(self) -> tuple[str, ...]:
        """The K class names, in output order."""
        return self._labels

    @property
    def metadata(self) -> Metadata:
        """All that the artefact carries beside its graph."""
        return self._metadata

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """Probabilities of every class for images of the model's size.

        pixels: uint8 [N, H, W, C], N ≥ 0. Returns float32 [N, K], rows sum to 1. Raises InputError.
        """
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != self._shape:
            raise InputError(
                f"expected uint8 [N, {', '.join(map(str, self._shape))}], got {_describe(pixels)}: "
                "classify_batch takes images of other sizes"
            )
        if not len(pixels):  # which not every graph takes
            return np.empty((0, len(self._labels)), np.float32)
        return self._run(pixels)

    def classify(self, image: ImageLike, *, top_k: int = 1) -> Prediction:
        """Classify one image: a uint8 array, a Pillow image, a path, or the bytes of an encoded image.

        top_k: how many classes `Prediction.top` lists, at least 1; more than there are means all. The first images are
        looked at: a SkewWarning says once if they are unlike the training images. Raises InputError.
        """
        try:
            run, binding, inputs, row = self._lanes.steady
        except AttributeError:
            return self._classify_first(image, top_k)
        if image.__class__ is np.ndarray and image.dtype == np.uint8 and image.shape in inputs:
            inputs[image.shape][...] = image
        else:
            inputs[self._shape][...] = self._metadata.image.pixels(image)
        try:
            run(binding)
        except Exception as error:  # onnxruntime's own errors share no base class
            raise _cannot_run(error) from None
        if top_k != 1:
            return self._prediction(row, top_k)
        index = int(row.argmax())
        label, probability = self._labels[index], row.item(index)
        return Prediction(label, probability, index, [(label, probability)])

    def classify_batch(self, images: Iterable[ImageLike], *, top_k: int = 1) -> list[Prediction]:
        """Classify many images, of any sizes and kinds, in order. Raises InputError, naming the image's position.

        Files are decoded by a few threads, a block of images at a time, so that memory does not grow with their number.
        """
        _check_top_k(top_k)
        predictions = []
        for block in self._blocks(images):
            self._watch.see(block)
            predictions += [self._prediction(row, top_k) for row in self.probabilities(block)]
        return predictions

    def info(self) -> dict[str, Any]:
        """Say what is running: the file, what it holds, what onnxruntime made of it.

        `skew` names what looks wrong with the first images that were classified: a cause and a message each.
        """
        import platform

        session = self._session or self._open()
        return {
            "digest": self._digest,
            "format": artefact.format_of(self._model),
            "size": len(self._model),
            "labels": list(self._labels),
            "image": asdict(self._metadata.image),
            "provenance": dict(self._metadata.provenance),
            "providers": session.get_providers(),
            "threads": self._settings.threads,
            "skew": [{"cause": found.cause, "message": found.message} for found in self._watch.findings()],
            "versions": {
                "numpy": np.__version__,
                "onnxruntime": onnxruntime().__version__,
                "python": platform.python_version(),
            },
        }

    def selftest(self) -> float:
        """Run the golden examples on this device, one by one and together, and compare with the trained model.

        Returns the largest difference in probability. Raises SelfTestError where it is more than the artefact's
        tolerance.
        """
        golden = self._metadata.golden
        found = [self._run(golden.images), np.concatenate([self._run(image[None]) for image in golden.images])]
        difference = np.abs(np.stack(found) - golden.probabilities).max(axis=(0, 2))  # [G]
        worst = int(difference.argmax())
        if not difference[worst] <= golden.tolerance:
            raise SelfTestError(
                f"expected golden example {worst} within {golden.tolerance:g} of the trained model's probabilities, "
                f"found a difference of {difference[worst]:.3g}: do not use this file on this device"
            )
        return float(difference[worst])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the file's bytes; the other side opens a session of its own."""
        return Classifier, (self._model, self._settings)

    def _run(self, pixels: Pixels) -> NDArray[np.float32]:
        """uint8 [N, H, W, C], N ≥ 1 → float32 [N, K]. Raises ArtefactError where the graph turns out not to run."""
        session = self._session or self._open()
        try:
            result: NDArray[np.float32] = session.run(None, {artefact.INPUT: pixels})[0]
        except Exception as error:  # as above
            raise _cannot_run(error) from None
        if result.shape != (len(pixels), len(self._labels)):
            raise _cannot_run(f"probabilities of shape {list(result.shape)}")
        return result

    def _classify_first(self, image: ImageLike, top_k: int) -> Prediction:
        """Classify in a thread that has no buffers yet, or one of the first images, which are looked at."""
        _check_top_k(top_k)
        if not self._watch.over:
            pixels = self._metadata.image.pixels(image)[None]
            self._watch.see(pixels)
            return self._prediction(self.probabilities(pixels)[0], top_k)
        self._lanes.steady = _lane(self._session or self._open(), self._metadata, self._settings)
        return self.classify(image, top_k=top_k)

    def _blocks(self, images: Iterable[ImageLike]) -> Iterator[Pixels]:
        """Bring images to the model's size, in blocks [N, H, W, C] of bounded memory."""
        size = max(1, min(BLOCK_IMAGES, BLOCK_BYTES // int(np.prod(self._shape))))
        try:
            numbered = enumerate(images)
        except TypeError:
            raise InputError(f"expected images one after another, as in a list, got {_describe(images)}") from None
        while block := list(islice(numbered, size)):
            yield self._block(block)

    def _block(self, numbered: list[tuple[int, ImageLike]]) -> Pixels:
        """Bring images to the model's size, by a few threads unless they are arrays of that size: [N, H, W, C]."""
        if all(isinstance(image, np.ndarray) and image.shape[:2] == self._shape[:2] for _, image in numbered):
            return np.stack([self._pixels(item) for item in numbered])
        from concurrent.futures import ThreadPoolExecutor  # here, since it takes a cold start's 10 ms

        with ThreadPoolExecutor(min(DECODERS, os.cpu_count() or 1)) as pool:
            return np.stack(list(pool.map(self._pixels, numbered)))

    def _pixels(self, numbered: tuple[int, ImageLike]) -> Pixels:
        position, image = numbered
        try:
            return self._metadata.image.pixels(image)
        except InputError as error:
            raise InputError(f"image {position}: {error}") from None

    def _prediction(self, probabilities: NDArray[np.float32], top_k: int) -> Prediction:
        _check_top_k(top_k)
        order = np.argsort(-probabilities, kind="stable")[:top_k].tolist()
        top = [(self._labels[index], float(probabilities[index])) for index in order]
        return Prediction(label=top[0][0], probability=top[0][1], index=order[0], top=top)

    def _open(self) -> InferenceSession:
        """Open this process's session, after a fork."""
        with self._opening:
            if self._session is None:
                self._session = open_session(self._model, self._settings)
            return self._session

    def _forget_parent(self) -> None:
        """Leave the parent process's session and buffers alone, in a child that was forked; it opens its own."""
        _abandoned.append(self._session)  # closing it could wait for threads that are not in this process
        self._session, self._lanes, self._opening = None, threading.local(), threading.Lock()
        self._watch.forget_parent()


def _lane(session: InferenceSession, metadata: Metadata, settings: Settings) -> tuple[Any, ...]:
    """Buffers of one thread, bound to the session: how to run, what to run, where the image goes, its probabilities."""
    height, width, channels = metadata.image.shape
    pixels = np.zeros((1, height, width, channels), np.uint8)
    row = np.zeros((1, len(metadata.labels)), np.float32)
    binding = session.io_binding()
    binding.bind_cpu_input(artefact.INPUT, pixels)
    binding.bind_output(artefact.OUTPUT, "cpu", 0, np.float32, row.shape, row.ctypes.data)
    inputs = {pixels.shape[1:]: pixels[0]} | ({(height, width): pixels[0, :, :, 0]} if channels == 1 else {})

    def run_and_wait(binding: Any) -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    run = session.run_with_iobinding if settings.providers == (CPU,) else run_and_wait
    return run, binding, inputs, row[0]


_everyone: weakref.WeakSet[Classifier] = weakref.WeakSet()
_abandoned: list[Any] = []


def _after_fork() -> None:
    global _cache_lock  # another thread of the parent may have held it
    _cache_lock = threading.Lock()
    for classifier in list(_everyone):
        classifier._forget_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def load(
    model: ModelPath | bytes,
    *,
    selftest: bool = False,
    threads: int = 1,
    spinning: bool = False,
    providers: Iterable[str] = (CPU,),
) -> Classifier:
    """Open an ONNX artefact, from its path or its bytes.

    selftest: whether to run the golden examples first. threads, spinning, providers: as in `Settings`. Raises
    ArtefactError where the file is missing, damaged or no artefact of the kit, or a provider is not there, and
    SelfTestError.
    """
    if isinstance(providers, str) or not isinstance(providers, Iterable):
        raise ArtefactError(f"expected a list of providers, found {providers!r}: leave it out for the CPU")
    settings = Settings(threads=threads, spinning=spinning, providers=tuple(providers))
    data, name = (bytes(model), "these bytes") if isinstance(model, (bytes, bytearray)) else _read(_path(model))
    with naming(name):
        classifier = Classifier(data, settings)
        if selftest:
            classifier.selftest()
    return classifier


def classify(image: ImageLike, *, model: ModelPath, top_k: int = 1) -> Prediction:
    """Classify one image with the artefact at `model`, which is opened once, and again only when the file changes.

    Takes the images that `Classifier.classify` takes. Raises ArtefactError and InputError.
    """
    path = os.path.abspath(_path(model))  # noqa: PTH100 - Path costs more than the model
    return _opened(path).classify(image, top_k=top_k)


_cache: dict[str, tuple[tuple[int, int, int], Classifier]] = {}
_cache_lock = threading.Lock()


def _opened(path: str) -> Classifier:
    try:
        found = os.stat(path)  # noqa: PTH116 - as above
    except (OSError, ValueError):
        return load(path)
    signature = found.st_mtime_ns, found.st_size, found.st_ino
    cached = _cache.get(path)
    if cached is None or cached[0] != signature:
        with _cache_lock:
            cached = _cache.get(path)
            if cached is None or cached[0] != signature:
                cached = _cache[path] = signature, load(path)
    return cached[1]


def _path(model: ModelPath) -> str:
    try:
        return os.fspath(model)
    except TypeError:
        raise ArtefactError(f"expected the path or the bytes of an artefact, found {type(model).__name__}") from None


def _read(path: str) -> tuple[bytes, str]:
    """Read a file that may be an artefact: its bytes, and its name for messages."""
    try:
        found = os.stat(path)  # noqa: PTH116 - importing pathlib costs a cold start its 10 ms
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise ArtefactError(f"{path}: expected an artefact, found a device or a pipe: name a file")
        if found.st_size > MAX_MODEL_BYTES:
            raise ArtefactError(f"{path}: expected an artefact of at most 2 GB, found a larger file")
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            data = file.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ArtefactError(
            f"{path}: expected an artefact, found: {reason}: make one with `kit export --format onnx`"
        ) from None
    if data.startswith(b"PK\x03\x04"):
        raise ArtefactError(
            f"{path}: expected an ONNX artefact, found a zip file, as torch writes: "
            "export with `--format onnx`, or open it with torch"
        )
    return data, path


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


def _cannot_run(reason: object) -> ArtefactError:
    text = " ".join(str(reason).split())
    return ArtefactError(
        f"expected a graph that gives [N, K] probabilities, found one that does not ({text}): export it again"
    )


def _check_top_k(top_k: int) -> None:
    if not isinstance(top_k, int) or top_k < 1:
        raise InputError(f"expected top_k of at least 1, got {top_k!r}")


def _describe(value: object) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__

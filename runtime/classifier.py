"""From an image to a prediction: `Classifier` runs an artefact."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from .artefact import FAMILIARITY, FEATURES, OUTPUT, Metadata, from_props
from .backend import Session, check_signature, open_backend
from .batches import blocks
from .errors import ArtefactError, InputError, SelfTestError
from .image import ImageLike, Pixels, describe
from .origin import raised_by
from .prediction import Prediction, Predictor, check_top_k
from .seal import check_seal, format_of
from .session import Settings
from .skew.first_images import FirstImages
from .text import one_line

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray


class _Buffers(threading.local):
    """What `bind` returned in this thread; None before its first call."""

    bound: tuple[Any, ...] | None = None


class Classifier:
    """An opened artefact. Safe to share between threads, to fork with, and to pickle. Made by `load`.

    A context manager too: `close` frees its memory before its last reference goes.
    """

    def __init__(self, model: bytes, settings: Settings) -> None:
        self._digest = check_seal(model)
        self._model: bytes | None = model  # None once it is closed
        self._settings = settings
        self._session: Session | None = open_backend(model, settings)
        self._library = self._session.library
        self._metadata = from_props(self._session.props)
        check_signature(self._session, self._metadata)
        self._labels = self._metadata.labels
        self._shape = self._metadata.image.shape
        self._predict = Predictor(self._labels, self._metadata.decision)
        self._outputs = [OUTPUT, FAMILIARITY] if self._metadata.has_familiarity else [OUTPUT]
        self._session.prepare(self._outputs)
        self._first_images = FirstImages(self._metadata.pixel_statistics)
        self._buffers = _Buffers()
        self._opening = threading.Lock()
        _classifiers.add(weakref.ref(self, _classifiers.discard))

    @property
    def labels(self) -> tuple[str, ...]:
        """The K class names, in output order."""
        return self._labels

    @property
    def metadata(self) -> Metadata:
        """All that the artefact carries beside its graph."""
        return self._metadata

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """Compute the probabilities of every class for images of the model's size.

        pixels: uint8 [N, H, W, C], N ≥ 0.
        Returns float32 [N, K]; rows sum to 1. Raises InputError.
        """
        return self.with_familiarity(pixels)[0]

    def with_familiarity(self, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Compute `probabilities`, and the familiarity of each image, float32 [N]; None where there is none."""
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != self._shape:
            raise InputError(
                f"expected uint8 [N, {', '.join(map(str, self._shape))}], got {describe(pixels)}: "
                "classify_batch takes images of other sizes"
            )
        if not len(pixels):  # not every graph takes an empty batch
            return np.empty((0, len(self._labels)), np.float32), None
        probabilities, *others = self._run(pixels)
        return probabilities, others[0] if others else None

    def classify(self, image: ImageLike, *, top_k: int = 1, confidence: float | None = None) -> Prediction:
        """Classify one image.

        image: a uint8 array, a Pillow image, a path, or the bytes of an encoded image.
        top_k: how many classes `Prediction.top` lists, at least 1; more than there are means all.
        confidence: with which `Prediction.set` has the true label, out of those in the artefact; None for no set.
        Warns once with a SkewWarning if the first images look unlike the training images. Raises InputError.
        """
        bound = self._buffers.bound
        if bound is None:
            return self._classify_first(image, top_k, confidence)
        run, binding, inputs, row, familiarity = bound
        if image.__class__ is np.ndarray and image.dtype == np.uint8 and image.shape in inputs:
            inputs[image.shape][...] = image
        else:
            inputs[self._shape][...] = self._metadata.image.pixels(image)
        try:
            run(binding)
        except Exception as error:  # onnxruntime's own errors share no base class
            if not raised_by(error, self._library):
                raise
            raise _cannot_run(error) from error
        if top_k != 1 or confidence is not None or self._predict.decides:
            return self._predict(row, top_k, familiarity, confidence)
        index = int(row.argmax())
        label, probability = self._labels[index], row.item(index)
        return Prediction(label, probability, index, [(label, probability)])

    def classify_batch(
        self, images: Iterable[ImageLike], *, top_k: int = 1, confidence: float | None = None
    ) -> list[Prediction]:
        """Classify many images in order, in blocks of bounded memory; several threads decode files.

        images: of any sizes and kinds that `classify` takes; an array with the axes [N, H, W, C], or [N, H, W]
            where the model is grey and of that size.
        top_k, confidence: as in `classify`.
        Raises InputError, with the position of an image that cannot be read.
        """
        self._check(top_k, confidence)
        predictions = []
        for block in blocks(images, self._metadata.image):
            self._first_images.see(block)
            predictions += self._predictions(block, top_k, confidence)
        return predictions

    def embed(self, images: Iterable[ImageLike]) -> NDArray[np.float32]:
        """Compute the features of many images, for search and clustering; in blocks of bounded memory.

        images: as in `classify_batch`.
        Returns float32 [N, D]: what the softmax regression sees, neither centred nor scaled. Raises ArtefactError for a
        model on pixels, and InputError, with the position of an image that cannot be read.
        """
        if FEATURES not in self._metadata.outputs:
            raise ArtefactError(
                "expected an artefact that carries features, found one of a model on pixels: train it with "
                "`kit train --features`"
            )
        found = [self._run(block, [FEATURES])[0] for block in blocks(images, self._metadata.image)]
        return np.concatenate(found) if found else np.empty((0, self._width()), np.float32)

    def info(self) -> dict[str, Any]:
        """Describe the file, its content and the session that runs it, ready for JSON.

        `skew` lists the input skew found in the first images that were classified: a cause and a message each.
        """
        import platform

        session, model = self._session or self._open(), self._content()
        return {
            "digest": self._digest,
            "format": format_of(model),
            "size": len(model),
            "labels": list(self._labels),
            "image": asdict(self._metadata.image),
            "optional_outputs": list(self._metadata.outputs),
            "decision": self._metadata.decision and self._metadata.decision.to_json(),
            "licences": list(map(dict, self._metadata.licences)),
            "provenance": dict(self._metadata.provenance),
            "backend": session.backend,
            "providers": list(session.providers),
            "threads": self._settings.threads,
            "skew": [{"cause": found.cause, "message": found.message} for found in self._first_images.findings()],
            "versions": dict(
                sorted(
                    {
                        "numpy": np.__version__,
                        session.backend: session.version,
                        "python": platform.python_version(),
                    }.items()
                )
            ),
        }

    def selftest(self) -> float:
        """Run the golden examples one by one and as one batch, and compare with the trained model's probabilities.

        Returns the largest difference in probability. Raises SelfTestError where it exceeds the artefact's tolerance.
        """
        golden = self._metadata.golden
        singles = np.concatenate([self._run(image[None])[0] for image in golden.images])
        found = [self._run(golden.images)[0], singles]
        difference = np.abs(np.stack(found) - golden.probabilities).max(axis=(0, 2))  # [G]
        worst = int(difference.argmax())
        if not difference[worst] <= golden.tolerance:
            raise SelfTestError(
                f"expected golden example {worst} within {golden.tolerance:g} of the trained model's probabilities, "
                f"found a difference of {difference[worst]:.3g}: do not use this file on this device"
            )
        return float(difference[worst])

    def close(self) -> None:
        """Free the memory; every later call raises ArtefactError. Calls in other threads finish."""
        with self._opening:
            self._model = self._session = None
        self._buffers = _Buffers()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the file's bytes; unpickling opens a new session."""
        return Classifier, (self._content(), self._settings)

    def _run(self, pixels: Pixels, outputs: list[str] | None = None) -> list[NDArray[np.float32]]:
        """Run the graph: uint8 [N, H, W, C], N ≥ 1 → probabilities [N, K] and, where it is needed, familiarity [N].

        outputs: names of others to give instead, of one or two axes.
        Raises ArtefactError where the graph turns out not to run.
        """
        session, names = self._session or self._open(), outputs or self._outputs
        try:
            results = session.run(names, pixels)
        except Exception as error:  # as above
            if not raised_by(error, self._library):
                raise
            raise _cannot_run(error) from error
        for name, result in zip(names, results, strict=True):
            due = {OUTPUT: (len(self._labels),), FAMILIARITY: ()}.get(name, result.shape[1:])
            if result.shape != (len(pixels), *due):
                raise _cannot_run(f"{name} of shape {list(result.shape)}")
        return results

    def _width(self) -> int:
        """Return D, the number of features of an image."""
        session = self._session or self._open()
        return int(next(node.shape[1] for node in session.outputs if node.name == FEATURES))

    def _check(self, top_k: int, confidence: float | None) -> None:
        check_top_k(top_k)
        if confidence is not None:
            self._predict.least(confidence)

    def _classify_first(self, image: ImageLike, top_k: int, confidence: float | None) -> Prediction:
        """Classify one of the first images, or the first one of a thread, and bind the thread's buffers."""
        self._check(top_k, confidence)
        if not self._first_images.over:
            pixels = self._metadata.image.pixels(image)[None]
            self._first_images.see(pixels)
            return self._predictions(pixels, top_k, confidence)[0]
        buffers = self._buffers  # which `close` may replace meanwhile
        buffers.bound = (self._session or self._open()).bind(self._metadata)
        return self.classify(image, top_k=top_k, confidence=confidence)

    def _predictions(self, pixels: Pixels, top_k: int, confidence: float | None) -> list[Prediction]:
        """uint8 [N, H, W, C], N ≥ 1 → N predictions."""
        probabilities, found = self.with_familiarity(pixels)
        familiarity = [None] * len(pixels) if found is None else found[:, None]
        rows = zip(probabilities, familiarity, strict=True)
        return [self._predict(row, top_k, found, confidence) for row, found in rows]

    def _content(self) -> bytes:
        if self._model is None:
            raise ArtefactError("expected an open classifier, found one that was closed: load the artefact again")
        return self._model

    def _open(self) -> Session:
        """Open this process's session, after a fork. Raises ArtefactError once it is closed."""
        with self._opening:
            self._session = self._session or open_backend(self._content(), self._settings)
            return self._session

    def _forget_parent(self) -> None:
        """Put the parent process's session and buffers aside in a forked child, which opens its own."""
        self._session, self._buffers, self._opening = None, _Buffers(), threading.Lock()
        self._first_images.forget_parent()


_classifiers: set[weakref.ref[Classifier]] = set()


def _after_fork() -> None:
    for reference in _classifiers.copy():
        if classifier := reference():
            classifier._forget_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _cannot_run(reason: object) -> ArtefactError:
    return ArtefactError(
        f"expected a graph that gives [N, K] probabilities, found one that does not ({one_line(reason)}): "
        "export it again"
    )

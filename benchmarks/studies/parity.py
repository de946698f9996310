"""Parity of exported files with the trained model in float64, features and regression, on every test image."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import runtime
from export import export
from export.features.graph import model_of
from export.gate.float64 import evaluator
from export.gate.parity import answers, reference_probabilities, regression
from runtime.image import Pixels
from trainer import Checkpoint, Dataset, fit, load_data, load_features

from ..tools.measure import aimed, table

DIFFERENCE, LABELS = 1e-5, 0  # that are allowed
BLOCK = 8  # images at a time in float64
HEAD = ("data", "features", "images", "test images", "largest difference", "target", "labels that differ", "target")


class Subject(NamedTuple):
    """A data set, and the features to compute."""

    name: str
    features: str
    load: Callable[[], Dataset]


def subjects(data_dir: Path | None, flowers: Path | None, cifar: Path | None) -> Iterator[Subject]:
    """Yield digits, and the data sets that have a folder."""
    for features in ("pixels", "patches"):
        yield Subject("digits", features, lambda: load_data("digits"))
    if data_dir:
        for features in ("pixels", "patches"):
            yield Subject("Fashion-MNIST", features, lambda: load_data("fashion-mnist", data_dir=data_dir))
    if flowers:
        yield Subject("flowers", "efficientnet_lite0", lambda: load_data(flowers, image_size=224))
    if cifar:
        yield Subject("CIFAR-10", "efficientnet_lite0", lambda: load_data(cifar, image_size=128))


def compare(chosen: Iterable[Subject]) -> Iterator[str]:
    """Yield a table, a row for each subject: it is trained, exported to `onnx`, and compared."""
    rows = []
    for subject in chosen:
        data = load_features(subject.load(), subject.features)
        checkpoint, images = fit(data).checkpoint, data.test.images.numpy()
        with tempfile.TemporaryDirectory() as place:
            path = export(checkpoint, "onnx", Path(place, "model.onnx")).path
            found = answers(runtime.load(path).probabilities, images)
        expected = in_float64(checkpoint, images)
        difference = float(np.abs(found - expected).max())
        labels = int((found.argmax(axis=1) != expected.argmax(axis=1)).sum())
        size = "×".join(map(str, images.shape[1:]))
        off = (f"{difference:.1e}", aimed(difference, DIFFERENCE), labels, aimed(labels, LABELS))
        rows.append((subject.name, subject.features, size, f"{len(images):,}", *off))
    yield table(HEAD, rows)


def in_float64(checkpoint: Checkpoint, images: Pixels) -> NDArray[np.float64]:
    """Compute the trained model's probabilities in float64 throughout: uint8 [N, H, W, C] → [N, K]."""
    if checkpoint.features is None:
        return reference_probabilities(checkpoint, images)
    run = evaluator(model_of(checkpoint.features))
    features = np.concatenate([run(images[start : start + BLOCK]) for start in range(0, len(images), BLOCK)])
    return regression(checkpoint, features.astype(np.float64))

"""The artefacts for LiteRT against those for onnxruntime: answers on every test image, sizes, and times."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

import runtime
from export import export
from runtime.artefact import INPUT, OUTPUT
from runtime.image import Pixels
from trainer import Checkpoint, Dataset, fit, load_data

from ..tools.measure import aimed, interleaved, table

PAIRS = {"litert": "onnx", "litert-int8": "onnx-int8"}
DIFFERENCE, LABELS, SECONDS = 1e-5, 0, 1.0  # that are allowed
ROUNDS, IMAGES = 9, 500
KERNELS = {"kit": None, "plain": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "XNNPACK": "BUILTIN", "reference": "BUILTIN_REF"}
ANSWERS = ("data", "format", "kernels", "images", "largest difference", "target", "labels that differ", "target")
COSTS = ("data", "format", "bytes", "onnx", "export, s", "− onnx, s", "target", "load ÷ onnx", "one image ÷ onnx")


def subjects(data_dir: Path | None, cifar: Path | None) -> Iterator[tuple[str, Callable[[], Dataset]]]:
    """Yield digits, and the data sets that have a folder."""
    yield "digits", partial(load_data, "digits")
    if data_dir:
        yield "Fashion-MNIST", partial(load_data, "fashion-mnist", data_dir=data_dir)
    if cifar:
        yield "CIFAR-10", partial(load_data, cifar, image_size=128)


def compare(chosen: Iterable[tuple[str, Callable[[], Dataset]]]) -> Iterator[str]:
    """Yield two tables, a row for each data set and format."""
    rows, costs = [], []
    for name, load in chosen:
        data = load()
        checkpoint, images = fit(data).checkpoint, data.test.images.numpy()
        for ours, theirs in PAIRS.items():
            with tempfile.TemporaryDirectory() as place:
                paths = {kind: Path(place, f"model.{suffix(kind)}") for kind in (ours, theirs)}
                costs.append((name, ours, *cost(checkpoint, paths, images)))
                rows += [(name, ours, *row) for row in answers(paths[ours], paths[theirs], images)]
    yield table(ANSWERS, rows)
    yield table(COSTS, costs)


def suffix(kind: str) -> str:
    """Return what a file of a format ends in."""
    return "tflite" if kind in PAIRS else "onnx"


def answers(ours: Path, theirs: Path, images: Pixels) -> Iterator[tuple[object, ...]]:
    """Yield how far the kit is from onnxruntime, and LiteRT itself with each of its kernels."""
    expected = runtime.load(theirs).probabilities(images)
    for kernels, resolver in KERNELS.items():
        found = by_litert(ours.read_bytes(), images, resolver) if resolver else runtime.load(ours).probabilities(images)
        difference = float(np.abs(found - expected).max())
        labels = int((found.argmax(axis=1) != expected.argmax(axis=1)).sum())
        off = (f"{difference:.1e}", aimed(difference, DIFFERENCE), labels, aimed(labels, LABELS))
        yield kernels, f"{len(images):,}", *off


def by_litert(model: bytes, images: Pixels, resolver: str) -> NDArray[np.float32]:
    """Answer with LiteRT's own signature runner, as its documentation shows it."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(model_content=model, experimental_op_resolver_type=OpResolverType[resolver])
    run: Any = interpreter.get_signature_runner()
    return np.concatenate([run(**{INPUT: images[at : at + 100]})[OUTPUT] for at in range(0, len(images), 100)])


def cost(checkpoint: Checkpoint, paths: dict[str, Path], images: Pixels) -> tuple[object, ...]:
    """Export, load and run one image at a time, ours and theirs in turn; return the rest of a row of COSTS."""
    exports = {kind: partial(export, checkpoint, kind, path) for kind, path in paths.items()}
    writing = [median(times) for times in interleaved(exports, ROUNDS).values()]
    loads = {kind: partial(runtime.load, path) for kind, path in paths.items()}
    loading = [median(times) for times in interleaved(loads, ROUNDS).values()]
    runs = {kind: partial(one_by_one, load(), images[:IMAGES]) for kind, load in loads.items()}
    running = [median(times) for times in interleaved(runs, ROUNDS).values()]
    sizes = [f"{path.stat().st_size:,}" for path in paths.values()]
    more = writing[0] - writing[1]
    shares = (f"{loading[0] / loading[1]:.2f}", f"{running[0] / running[1]:.2f}")
    return *sizes, f"{writing[0]:.3f}", f"{more:.3f}", aimed(more, SECONDS), *shares


def one_by_one(classifier: runtime.Classifier, images: Pixels) -> None:
    """Classify images one at a time."""
    for image in images:
        classifier.classify(image)

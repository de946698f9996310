"""Our C on every target: whether it answers the same bits there, and what it takes; tables for `benchmarks.c`."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.artefact import INPUT, OUTPUT
from runtime.c.footprint import footprint
from runtime.c.model import CompiledModel
from runtime.c.programs import RUN, build, execute
from runtime.c.reading import read_source
from runtime.c.targets import HOST, TARGETS, is_installed
from runtime.image import Pixels
from runtime.session import CPU, onnxruntime

from ..tools.measure import aimed, table

COMPILERS, LEVELS = ("gcc", "clang"), ("-O2", "-Os")
BLOCK = 100  # images on patches at a time
ON_AVR = 300  # images, as its flash holds few at a time
FLOAT, INTEGER = 1e-6, 2e-5  # largest differences from onnx-int8
BEYOND = {"cortex-m4f": 600, "cortex-m3": 2300, "cortex-m0": 4500}  # bytes of flash beyond the weights
BEYOND_INTEGER, STACK = 1500, 256
INSTRUCTIONS = {"cortex-m3": 45_000, "cortex-m0": 75_000, "cortex-m4f": 30_000, "avr": 450_000}


def everywhere(path: Path, images: Pixels, in_8_bits: NDArray[np.float32], targets: list[str]) -> str:
    """Compare the bits of every program's answers with the first's, and with what onnx-int8 answers.

    path: the folder of C. images: uint8 [N, H, W, C]. in_8_bits: float32 [N, K]. targets: emulated ones.
    """
    rows, first = [], None
    for name, where, level in _programs(targets):
        found = _answers(path, where, level, images)
        first = found if first is None else first
        probabilities = found[:, :-1].copy().view("<f4")
        expected = in_8_bits[: len(found)]
        difference = float(np.abs(probabilities - expected).max())
        flips = int((found[:, -1].view("<i4") != expected.argmax(axis=1)).sum())
        same = "yes" if np.array_equal(found, first[: len(found)]) else "NO"
        rows.append((name, level, f"{len(found):,}", same, f"{difference:.1e}", aimed(difference, FLOAT), flips))
    integer = CompiledModel(path, integer=True)
    probabilities, labels = integer.answers(images)
    difference = float(np.abs(probabilities - in_8_bits).max())
    flips = int((labels != in_8_bits.argmax(axis=1)).sum())
    written = f"{difference:.1e}", aimed(difference, INTEGER), flips
    rows.append(("host, integer-only", "-O2", f"{len(images):,}", "", *written))
    head = (
        "compiled for", "level", "images", "the same bits", "largest difference from onnx-int8", "target",
        "labels that differ",
    )  # fmt: skip
    return table(head, rows)


def _programs(targets: list[str]) -> Iterator[tuple[str, str, str]]:
    """Yield name, target and level of each program, with its compiler chosen."""
    for level in LEVELS:
        for compiler in filter(shutil.which, COMPILERS):
            with _chosen(compiler):
                yield f"host, {compiler}", HOST, level
        for target in filter(is_installed, targets):
            yield target, target, level


@contextmanager
def _chosen(compiler: str) -> Iterator[None]:
    before = os.environ.get("CC")
    os.environ["CC"] = compiler
    try:
        yield
    finally:
        if before is None:
            del os.environ["CC"]
        else:
            os.environ["CC"] = before


def _answers(path: Path, target: str, level: str, images: Pixels) -> NDArray[np.uint32]:
    """Bits of the probabilities, and the label, of each image: uint32 [N, K + 1]."""
    if target == "avr":
        probabilities, labels = CompiledModel(path, target).answers(images[:ON_AVR])
        return np.hstack([probabilities.view("<u4"), labels.view("<u4")[:, None]])
    program = build(read_source(path), target, optimise=level)
    return np.frombuffer(execute(program, RUN, images.tobytes(), len(images)), "<u4").reshape(len(images), -1)


def costs(path: Path, images: Pixels, weights: int) -> str:
    """What the model takes on each target, in float32 and without floating point.

    weights: bytes of them.
    """
    source, rows = read_source(path), []
    for target in filter(is_installed, TARGETS):
        if target == HOST:
            continue
        for integer in (False, True):
            found = footprint(source, target, images, integer=integer)
            beyond = found.flash - weights
            limit = BEYOND_INTEGER if integer and target in BEYOND else BEYOND.get(target)
            most = None if integer else INSTRUCTIONS.get(target)
            rows.append((
                target, "integers" if integer else "float32", f"{found.flash:,}", f"{beyond:,}",
                aimed(beyond, limit) if limit else "", found.ram, found.stack, aimed(found.stack, STACK),
                f"{found.instructions:,.0f}", aimed(found.instructions, most) if most else "",
            ))  # fmt: skip
    head = ("-Os", "softmax in", "flash, bytes", "beyond the weights", "target", "RAM", "stack", "target",
            "instructions an image (AVR: cycles)", "target")  # fmt: skip
    return table(head, rows)


def patches(data: str, data_dir: Path | None, place: Path) -> Iterator[str]:
    """Yield how far onnxruntime's answers to a file in 8 bits on patches are from its own in another order of sums."""
    from export import export
    from trainer import fit, load_data, load_features

    loaded = load_features(load_data(data, data_dir=data_dir), "patches")
    path = export(fit(loaded).checkpoint, "onnx-int8", place / "patches.int8.onnx").path
    images, ort = loaded.test.images.numpy(), onnxruntime()
    levels = ort.GraphOptimizationLevel
    answers = []
    for level in (levels.ORT_DISABLE_ALL, levels.ORT_ENABLE_ALL):
        options = ort.SessionOptions()
        options.graph_optimization_level = level
        session = ort.InferenceSession(path, options, providers=[CPU])
        blocks = (images[start : start + BLOCK] for start in range(0, len(images), BLOCK))
        answers.append(np.concatenate([session.run([OUTPUT], {INPUT: block})[0] for block in blocks]))
    yield (
        f"onnx-int8 on patches, {len(images):,} images: onnxruntime with its graph optimisations and without differs "
        f"by {np.abs(answers[0] - answers[1]).max():.1e} in probability"
    )

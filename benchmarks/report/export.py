"""Exporting one trained model to ONNX: cost, size, the oldest onnxruntime, and whether damage is detected."""

import time
from collections.abc import Callable
from pathlib import Path

from ..peers.exporters import PLACES, answer, ours, skl2onnx, torch_onnx
from ..tools.measure import Figures, Found, check, fresh, medians

TOLERANCE = 1e-4

RATIOS = {
    "time, the whole process": "wall",
    "time, exporting alone": "seconds",
    "peak memory": "peak",
    "size": "size",
}
FIGURES: dict[str, Callable[[Figures], object]] = {
    "whole process, s": lambda one: f"{one['wall']:.2f}",
    "exporting alone, s": lambda one: f"{one['seconds']:.3f}",
    "peak memory, MB": lambda one: f"{one['peak'] / 1e6:,.0f}",
    "bytes": lambda one: f"{one['size']:,}",
    "files": lambda one: one["files"],
    "opset": lambda one: one["opset"],
    "IR version": lambda one: one["ir"],
    "oldest onnxruntime": lambda one: one["oldest"],
}


def measure(folder: Path, *, rounds: int) -> Found:
    """Export with each contender, in turns, each in a fresh process; check what the last files answer.

    Beside the figures there is `wrong`: which wrong exports a contender detects.
    """
    runs: dict[str, list[Figures]] = {name: [] for name in PLACES}
    for last in [*[False] * (rounds - 1), True]:
        for name, place in PLACES.items():
            started = time.time()
            figures = fresh(exported, place=place, folder=str(folder), wrong=last)
            runs[name].append(figures | {"wall": figures["done"] - started})
    found = medians(runs)
    for name, place in PLACES.items():
        found[name] |= about(folder / place)
        check_answers(name, folder / place / "model.onnx", folder)
    return found


def exported(place: str, folder: str, wrong: bool) -> Figures:
    """Export with a contender.

    place: the contender's folder.
    wrong: whether it also exports models that are not the trained one.
    """
    figures = {"ours": ours, "torch_onnx": torch_onnx, "skl2onnx": skl2onnx}[place](folder)
    done = time.time()
    from ..studies.damage import wrong_exports  # here, so that it does not count towards the peak of memory

    return figures | {"done": done, "wrong": wrong_exports(Path(folder), place) if wrong else {}}


def about(folder: Path) -> Figures:
    """Read the size of the file, with the files beside it, and the oldest onnxruntime that loads it."""
    import onnx

    model = onnx.load(folder / "model.onnx")
    opset = max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    files = list(folder.glob("model.onnx*"))
    return {
        "size": sum(path.stat().st_size for path in files),
        "files": len(files),
        "opset": opset,
        "ir": model.ir_version,
        "oldest": oldest(opset, model.ir_version),
    }


def oldest(opset: int, ir: int) -> str:
    """Name the oldest onnxruntime that loads files of these versions, by `export/formats/compatibility.py`."""
    from export.formats.compatibility import RELEASES

    fits = [version for version, release in RELEASES.items() if opset <= release.opset and ir <= release.ir]
    return "{}.{}".format(*min(fits)) if fits else f"none up to {'{}.{}'.format(*max(RELEASES))}"


def check_answers(name: str, path: Path, folder: Path) -> None:
    """Compare what a file answers for all test images with the trained model in double precision."""
    import numpy as np

    from ..tools.subject import arrays

    images, _ = arrays(folder, "test")
    off = float(np.abs(answer(path, images) - np.load(folder / "expected.npy")).max())
    check(off <= TOLERANCE, f"{name}: probabilities within {TOLERANCE:g} of the trained model's", off)

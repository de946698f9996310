"""Exporting one trained model to ONNX: what it costs, what the file weighs, who can load it, and who notices damage."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .measure import Figures, Found, check, fresh, medians
from .memory import memory

OURS = "ours: export(checkpoint, 'onnx')"
TORCH = "torch.onnx.export"
SKL2ONNX = "skl2onnx.to_onnx"
PLACES = {OURS: "ours", TORCH: "torch_onnx", SKL2ONNX: "skl2onnx"}
TOLERANCE = 1e-4
TORCH_EXAMPLES = 2  # from one alone torch makes a file for one image, whatever dynamic_shapes says

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

    Beside the figures there is `wrong`: which wrong exports a contender notices.
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
    """Export with the contender that has this place; wrong: afterwards also what is not the trained model."""
    figures = {"ours": ours, "torch_onnx": torch_onnx, "skl2onnx": skl2onnx}[place](folder)
    done = time.time()
    from .damage import wrong_exports  # here, as it exports with what is here

    return figures | {"done": done, "wrong": wrong_exports(Path(folder), place) if wrong else {}}


def ours(folder: str) -> Figures:
    """Export our checkpoint, which is checked as it always is."""
    from export import export
    from trainer import load_checkpoint

    checkpoint = load_checkpoint(Path(folder, "model.safetensors"))
    return timed(lambda path: export(checkpoint, "onnx", path), Path(folder, "ours"))


def torch_onnx(folder: str) -> Figures:
    """Export the module of torch, for any number of images; the rest as it comes."""
    from .openers import network
    from .subject import arrays

    model, images = network(folder), arrays(folder, "test")[0][:TORCH_EXAMPLES]
    return timed(lambda path: through_torch(model, images, path), Path(folder, "torch_onnx"))


def through_torch(model: Any, images: Any, path: Path) -> None:
    """Call torch's exporter, without what it prints."""
    import contextlib
    import io

    import torch

    batch = {0: torch.export.Dim("N")}
    with contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(model, (torch.from_numpy(images).float(),), path, dynamic_shapes=(batch,))


def skl2onnx(folder: str) -> Figures:
    """Export scikit-learn's classifier."""
    import joblib

    model = joblib.load(f"{folder}/sklearn.joblib")
    return timed(lambda path: through_skl2onnx(model, path), Path(folder, "skl2onnx"))


def through_skl2onnx(model: Any, path: Path) -> None:
    """Call skl2onnx, with an array of probabilities in place of its list of dictionaries; the rest as it comes."""
    import numpy as np
    from skl2onnx import to_onnx

    row = np.zeros((1, model.n_features_in_), np.float32)
    path.write_bytes(to_onnx(model, row, options={"zipmap": False}).SerializeToString())


def timed(write: Callable[[Path], object], folder: Path) -> Figures:
    """Write model.onnx into a folder; the seconds of that alone, and the peak of memory."""
    folder.mkdir(exist_ok=True)
    started = time.perf_counter()
    write(folder / "model.onnx")
    return {"seconds": time.perf_counter() - started, "peak": memory("VmHWM")}


def about(folder: Path) -> Figures:
    """Weigh the file, with what lies beside it, and tell the oldest onnxruntime that loads it."""
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

    from .subject import arrays

    images, _ = arrays(folder, "test")
    off = float(np.abs(answer(path, images) - np.load(folder / "expected.npy")).max())
    check(off <= TOLERANCE, f"{name}: probabilities within {TOLERANCE:g} of the trained model's", off)


def answer(path: Path, images: Any) -> Any:
    """Let onnxruntime answer for images, in the form that the file takes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (node,) = session.get_inputs()
    if "float" in node.type:
        images = images.astype("float32")
    if len(node.shape) == 2:
        images = images.reshape(len(images), -1)
    return session.run([session.get_outputs()[-1].name], {node.name: images})[0]

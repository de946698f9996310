"""Ways to export the subject's model to ONNX, each as its users call it.

Nothing heavy is imported at the top: an exporter's peak of memory is that of what it needs itself.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..tools.measure import Figures
from ..tools.memory import memory

OURS = "ours: export(checkpoint, 'onnx')"
TORCH = "torch.onnx.export"
SKL2ONNX = "skl2onnx.to_onnx"
PLACES = {OURS: "ours", TORCH: "torch_onnx", SKL2ONNX: "skl2onnx"}
TORCH_EXAMPLES = 2  # from one alone torch makes a file for one image, whatever dynamic_shapes says


def ours(folder: str) -> Figures:
    """Export our checkpoint, with the parity gate."""
    from export import export
    from trainer import load_checkpoint

    checkpoint = load_checkpoint(Path(folder, "model.safetensors"))
    return timed(lambda path: export(checkpoint, "onnx", path), Path(folder, "ours"))


def torch_onnx(folder: str) -> Figures:
    """Export a torch module, for any number of images, with torch's defaults."""
    from ..tools.subject import arrays
    from .openers import network

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
    """Call skl2onnx, with an array of probabilities in place of its list of dictionaries."""
    import numpy as np
    from skl2onnx import to_onnx

    row = np.zeros((1, model.n_features_in_), np.float32)
    path.write_bytes(to_onnx(model, row, options={"zipmap": False}).SerializeToString())


def timed(write: Callable[[Path], object], folder: Path) -> Figures:
    """Write model.onnx into a folder; return the seconds, and the peak memory."""
    folder.mkdir(exist_ok=True)
    started = time.perf_counter()
    write(folder / "model.onnx")
    return {"seconds": time.perf_counter() - started, "peak": memory("VmHWM")}


def answer(path: Path, images: Any) -> Any:
    """Run onnxruntime on images, in the form that the file expects."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (node,) = session.get_inputs()
    if "float" in node.type:
        images = images.astype("float32")
    if len(node.shape) == 2:
        images = images.reshape(len(images), -1)
    return session.run([session.get_outputs()[-1].name], {node.name: images})[0]

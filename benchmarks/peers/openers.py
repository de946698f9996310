"""Runtimes that one might deploy to classify an image, each opened as its users open it.

    python -m benchmarks.peers.openers NAME FOLDER [SECONDS]

is the least script with one answer: it prints as JSON the index of the answer, when it was there (seconds since 1970)
and the peak of the process's memory until then, in bytes. With SECONDS it goes on to `tools.latency.timed`. Nothing
is imported before the opener does it, since the imports are a part of what is timed. FOLDER is what `subject.prepare`
and the exporters left.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from ..tools.memory import memory

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

One = Callable[[Any], int]
Many = Callable[[Any], Any]


def ours(folder: str) -> tuple[One, Many]:
    """Open our file in our runtime."""
    import runtime

    classifier = runtime.load(f"{folder}/ours/model.onnx")
    return lambda image: classifier.classify(image).index, classifier.probabilities


def bare(folder: str) -> tuple[One, Many]:
    """Open our file in onnxruntime itself."""
    session = _session(f"{folder}/ours/model.onnx")

    def many(images: Any) -> Any:
        return session.run(None, {"images": images})[0]

    return lambda image: int(many(image[None])[0].argmax()), many


def skl2onnx(folder: str) -> tuple[One, Many]:
    """Open the file that skl2onnx wrote in onnxruntime."""
    session = _session(f"{folder}/skl2onnx/model.onnx")
    name = session.get_inputs()[0].name

    def run(images: Any) -> Any:
        return session.run(None, {name: images.reshape(len(images), -1).astype("float32")})

    return lambda image: int(run(image[None])[0][0]), lambda images: run(images)[1]


def eager(folder: str) -> tuple[One, Many]:
    """Load the weights into torch."""
    import torch

    model = network(folder)

    def many(images: Any) -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(images).float()).numpy()

    return lambda image: int(many(image[None])[0].argmax()), many


def torchscript(folder: str) -> tuple[One, Many]:
    """Open our TorchScript file in torch."""
    import torch

    model = torch.jit.load(f"{folder}/ours/model.pt")

    def many(images: Any) -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(images)).numpy()

    return lambda image: int(many(image[None])[0].argmax()), many


def scikit_learn(folder: str) -> tuple[One, Many]:
    """Load scikit-learn's classifier."""
    import joblib

    model = joblib.load(f"{folder}/sklearn.joblib")

    def many(images: Any) -> Any:
        return model.predict_proba(images.reshape(len(images), -1).astype("float32"))

    return lambda image: int(model.predict(image.reshape(1, -1).astype("float32"))[0]), many


def network(folder: str) -> Any:
    """Make the model in torch as its users have it, from its saved weights; float32 [N, …] → probabilities."""
    import torch

    state = torch.load(f"{folder}/state.pt", weights_only=True)
    classes, features = state["1.weight"].shape
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(features, classes), torch.nn.Softmax(dim=1))
    model.load_state_dict(state)
    return model.eval()


def _session(path: str) -> Any:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


OPENERS: dict[str, Callable[[str], tuple[One, Many]]] = {
    opener.__name__: opener for opener in (ours, bare, skl2onnx, eager, torchscript, scikit_learn)
}


def opened(name: str, folder: str) -> tuple[One, Many]:
    """Open a model by the opener's name, with one thread."""
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    return OPENERS[name](folder)


def main(name: str, folder: str, seconds: str = "") -> None:
    """Answer once, and measure latencies if seconds are given."""
    one, many = opened(name, folder)
    import numpy as np

    answer = one(np.load(f"{folder}/one.npy"))
    found = {"answer": answer, "answered": time.time(), "peak": memory("VmHWM")}
    import json

    if seconds:
        from ..tools.latency import timed

        found |= timed(name, one, many, folder, float(seconds))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])

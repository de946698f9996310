"""Runtimes that load an artefact as it is, each as its documentation opens a model.

    python benchmarks/peers/hosts.py NAME IMAGES PATH...

prints as JSON the runtime's version, and for each file the probabilities, or why it refused it. It imports nothing of
the kit, so that any interpreter may run it. IMAGES is a .npy file, uint8 [N, H, W, C].
"""

import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

Run = Callable[[Any], Any]


def onnxruntime(path: str) -> Run:
    """Microsoft's, in Python."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["probabilities"], {"images": images})[0]


def tract(path: str) -> Run:
    """Sonos', in Rust."""
    import tract

    runnable = tract.onnx().load(path).into_model().into_runnable()
    return lambda images: runnable.run([images])[0].to_numpy()


def opencv(path: str) -> Run:
    """OpenCV's module dnn."""
    import cv2

    net = cv2.dnn.readNetFromONNX(path)

    def run(images: Any) -> Any:
        net.setInput(images, "images")
        return net.forward("probabilities")

    return run


def openvino(path: str) -> Run:
    """Intel's; in float32, as it takes bfloat16 where the processor has it."""
    import openvino

    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda images: model({"images": images})["probabilities"]


def litert(path: str) -> Run:
    """Google's, with the kernels of XNNPACK."""
    from ai_edge_litert.interpreter import Interpreter

    return _by_signature(Interpreter(path))


def tflite(path: str) -> Run:
    """LiteRT, by its former name."""
    from tflite_runtime.interpreter import Interpreter

    return _by_signature(Interpreter(path))


def _by_signature(interpreter: Any) -> Run:
    run = interpreter.get_signature_runner()
    return lambda images: run(images=images)["probabilities"]


HOSTS = {
    "onnxruntime": onnxruntime,
    "tract": tract,
    "opencv-python-headless": opencv,
    "openvino": openvino,
    "ai-edge-litert": litert,
    "tflite-runtime": tflite,
}


def main(name: str, images: str, *paths: str) -> None:
    """Print what the host called `name` answers."""
    answers: dict[str, Any] = {}
    for path in paths:
        try:
            answers[path] = np.asarray(HOSTS[name](path)(np.load(images))).tolist()
        except Exception as error:
            answers[path] = f"{error} "
    print(json.dumps([version(name), answers]))


if __name__ == "__main__":
    main(*sys.argv[1:])

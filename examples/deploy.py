"""Classify an image on a device: numpy and onnxruntime, no torch.

Usage: python deploy.py MODEL.onnx IMAGE

IMAGE is a file that Pillow reads (`pip install 'softmax-kit[image]'`), or raw uint8 pixels in a .npy file, for which
the plain install is enough.
"""

import importlib.util
import sys

import numpy as np

import runtime


def main(model: str, path: str) -> None:
    """Print the label, its probability, and whether torch is installed here."""
    image = np.load(path) if path.endswith(".npy") else path
    prediction = runtime.classify(image, model=model)
    torch = "installed" if importlib.util.find_spec("torch") else "not installed"
    print(f"{path}: {prediction.label} (probability {prediction.probability:.4f}); torch is {torch}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except runtime.KitError as error:
        sys.exit(f"deploy.py: {error}")

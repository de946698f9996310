"""A model for browsers, run by Node, against the onnx-int8 artefact that is in it."""

from collections.abc import Iterator

import numpy as np

from runtime.artefact import Metadata
from runtime.errors import needs_extra
from runtime.image import Pixels
from runtime.web.model import WebModel

from ..errors import ParityError
from .parity import EXACT, Answer, Gate, answers, compare, probes

ADVICE = "report it with the checkpoint and the version of Node"
FILE = "onnx-int8's"
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def check_web(model: WebModel, metadata: Metadata, sample: Pixels, in_8_bits: Answer) -> None:
    """Compare with onnx-int8 on all probes, run the self-test, and convert images of other sizes and colours.

    sample: training images, uint8 [S, H, W, C].
    in_8_bits: what onnx-int8 answers.
    Raises ParityError and SelfTestError.
    """
    on = probes(metadata.image, metadata.golden.images, sample)
    thresholds = metadata.decision.thresholds if metadata.decision else ()
    gate = Gate(tolerance=EXACT, advice=ADVICE, thresholds=thresholds)
    compare(
        answers(model.probabilities, on.images), answers(in_8_bits, on.images), on.names, metadata.labels, gate, FILE
    )
    model.selftest()
    with needs_extra("js", "checking how images are brought to the model's size"):
        from PIL import Image
    for images in _others(*metadata.image.size):
        mode = MODES[images.shape[3]]
        expected = [
            metadata.image.pixels(Image.fromarray(image.squeeze(2) if mode == "L" else image)) for image in images
        ]
        if not np.array_equal(model.pixels(images), expected):
            raise ParityError(
                f"expected {mode} images of {images.shape[2]} × {images.shape[1]} pixels to be fitted as the runtime "
                f"does, found others: {ADVICE}; the file was not kept"
            )


def _others(width: int, height: int) -> Iterator[Pixels]:
    """Random images of other sizes, of each number of channels: uint8 [2, h, w, C]."""
    generator = np.random.default_rng(0)
    for across, down in ((2 * width + 3, 3 * height + 1), (width // 2 + 1, height // 3 + 1)):
        for channels in MODES:
            yield generator.integers(0, 256, (2, down, across, channels), np.uint8)

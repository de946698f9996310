"""A model for browsers, run by Node, against the onnx-int8 artefact that is in it."""

from collections.abc import Iterator

import numpy as np

from runtime.artefact import Metadata
from runtime.decoding import from_array
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
    expected = answers(in_8_bits, on.images)
    compare(answers(model.probabilities, on.images), expected, on.names, metadata.labels, gate, FILE)
    model.selftest()
    for images in _others(*metadata.image.size):
        if not np.array_equal(model.pixels(images), [metadata.image.pixels(from_array(image)) for image in images]):
            raise ParityError(
                f"expected {MODES[images.shape[3]]} images of {images.shape[2]} × {images.shape[1]} pixels to be "
                f"fitted as the runtime does, found others: {ADVICE}; the file was not kept"
            )


def _others(width: int, height: int) -> Iterator[Pixels]:
    """Random images of other sizes, of each number of channels: uint8 [2, h, w, C]."""
    generator = np.random.default_rng(0)
    for across, down in ((2 * width + 3, 3 * height + 1), (width // 2 + 1, height // 3 + 1)):
        for channels in MODES:
            yield generator.integers(0, 256, (2, down, across, channels), np.uint8)

"""Made-up models as artefacts that the module reads, and the folder and page around them, without a gate."""

import base64
from pathlib import Path

import numpy as np

from export.arithmetic.centre import Centred
from export.formats import onnx, onnx_int8
from export.formats.compatibility import Target
from export.web.source import folder, page
from runtime import load
from runtime.image import ImageContract
from runtime.web.model import WebModel
from tests.export.c.made import Made, made

GREY = ImageContract(height=9, width=7)


def artefact(subject: Made, opset: int = 13) -> bytes:
    return onnx_int8.write(subject.numbers, subject.metadata, Target(opset=opset))


def in_float(image: ImageContract = GREY, classes: int = 4, opset: int = 13) -> bytes:
    """A centred model in float32, as of faint images."""
    subject = made(classes, image, centred=True)
    generator, count = np.random.default_rng(0), image.height * image.width * image.channels
    assert subject.numbers.centre is not None
    numbers = Centred(
        centre=subject.numbers.centre,
        multiples=generator.integers(-9, 9, (count, classes)).astype(np.float32),
        step=np.array(2.0**-12, np.float32),
        rest=generator.normal(0, 1e-4, (count, classes)).astype(np.float32),
        bias=generator.normal(0, 1, classes).astype(np.float32),
    )
    return onnx.write(numbers, subject.metadata, Target(opset=opset))


def web_folder(model: bytes, place: Path) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    for name, content in folder(model, load(model).metadata).items():
        (place / name).write_bytes(content)
    return place


def web_page(model: bytes, place: Path) -> Path:
    place.write_bytes(page(model))
    return place


def in_node(model: bytes, place: Path) -> WebModel:
    return WebModel(web_folder(model, place))


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()

"""The module in Node: each graph, image contract and encoding that `kit export` writes, against the runtime."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import runtime
from export import export
from runtime.errors import ArtefactError, SelfTestError
from runtime.golden import PNG_ROWS
from runtime.image import ImageContract
from runtime.seal import EMPTY_SEAL, seal
from runtime.web.model import WebModel
from tests.backends import of_onnxruntime
from tests.export.c.made import made
from tests.export.web.made import GREY, artefact, in_float, in_node
from tests.node import needs_node
from trainer import Checkpoint, Dataset

pytestmark = [needs_node, pytest.mark.spawns]

COLOUR = ImageContract(height=6, width=5, color="RGB")
GRAPHS = {
    "int8": lambda: artefact(made(5, COLOUR)),
    "int8, centred": lambda: artefact(made(5, COLOUR, centred=True)),
    "int8, centred, opset 18": lambda: artefact(made(5, COLOUR, centred=True), opset=18),
    "float, centred": lambda: in_float(COLOUR),
    "float, centred, opset 18": lambda: in_float(COLOUR, opset=18),
}


@pytest.mark.parametrize("name", ["onnx", "onnx-int8"])
def test_the_test_images_of_digits(name: str, exported: dict[str, Path], digits: Dataset, tmp_path: Path) -> None:
    images, model = digits.test.images.numpy(), exported[name].read_bytes()
    found, expected = in_node(model, tmp_path).probabilities(images), runtime.load(model).probabilities(images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found.argmax(axis=1), expected.argmax(axis=1))


@pytest.mark.parametrize("name", list(GRAPHS))
def test_each_graph(name: str, tmp_path: Path) -> None:
    model = GRAPHS[name]()
    images = made(2, COLOUR).images(300)
    found, expected = in_node(model, tmp_path).probabilities(images), runtime.load(model).probabilities(images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(40, 30), (30, 41), (7, 9), (3, 2), (1, 1), (2000, 3), (517, 389)], ids=str)
@pytest.mark.parametrize(
    "image",
    [
        GREY,
        ImageContract(height=9, width=7, fit="crop"),
        ImageContract(height=9, width=7, fit="pad", fill=(30,)),
        ImageContract(height=8, width=12, color="RGB", fit="pad", fill=(30, 40, 50)),
        ImageContract(height=64, width=96, color="RGB", fit="crop"),
    ],
    ids=lambda image: f"{image.color}-{image.fit}-{image.width}",
)
def test_images_are_fitted_as_by_the_runtime(image: ImageContract, size: tuple[int, int], tmp_path: Path) -> None:
    model = in_node(artefact(made(2, image)), tmp_path)
    for channels, mode in ((1, "L"), (3, "RGB"), (4, "RGBA")):
        images = np.random.default_rng(0).integers(0, 256, (2, size[1], size[0], channels), np.uint8)
        pictures = [Image.fromarray(one.squeeze(2) if channels == 1 else one) for one in images]
        np.testing.assert_array_equal(model.pixels(images), [image.pixels(one) for one in pictures], err_msg=mode)


def test_golden_images_as_png_rows(tmp_path: Path) -> None:
    subject = made(3, ImageContract(height=9, width=7, color="RGB", fit="crop"))
    images = subject.metadata.golden.images.copy()
    images[1:, :, 3:] = np.arange(7)[None, None, :4, None]  # rows that are like the one above, and the pixel before
    images[2:, 3:] = 200
    probabilities = subject.in_8_bits(images)
    golden = subject.metadata.golden._replace(images=images, probabilities=probabilities, encoding=PNG_ROWS)
    model = artefact(subject._replace(metadata=subject.metadata._replace(golden=golden)))
    assert runtime.load(model).metadata.golden.encoding == PNG_ROWS
    assert in_node(model, tmp_path).selftest() < 1e-6


def test_the_self_test_notices_other_answers(tmp_path: Path) -> None:
    subject = made(3, GREY)
    golden = subject.metadata.golden
    other = golden._replace(probabilities=golden.probabilities[:, ::-1].copy())
    model = in_node(artefact(subject._replace(metadata=subject.metadata._replace(golden=other))), tmp_path)
    with pytest.raises(
        SelfTestError, match=r"golden examples within 0\.05, found .*: do not use this file on this device"
    ):
        model.selftest()


def test_it_takes_what_familiarity_adds_to_a_graph(familiar: Checkpoint, tmp_path: Path) -> None:
    """Its nodes are left out."""
    model = export(familiar, "onnx", tmp_path / "model.onnx").path.read_bytes()
    images = familiar.golden_images
    found = in_node(model, tmp_path / "js").probabilities(images)
    np.testing.assert_allclose(found, runtime.load(model).probabilities(images), rtol=0, atol=1e-6)


@of_onnxruntime
def test_a_model_that_it_cannot_run(tmp_path: Path) -> None:
    """An operator that no graph on pixels has is named."""
    proto = onnx.load_model_from_string(artefact(made(3, GREY)))
    proto.graph.node[-1].op_type = "LogSoftmax"
    (sealed,) = (prop for prop in proto.metadata_props if prop.key == "kit.seal")
    sealed.value = EMPTY_SEAL.decode()
    changed = seal(proto.SerializeToString(deterministic=True))
    message = r"expected a model on pixels, found LogSoftmax\(logits\)probabilities 1: run it with onnxruntime-web"
    with pytest.raises(ArtefactError, match=message):
        in_node(changed, tmp_path)


def test_no_image_at_all(folder: Path) -> None:
    assert WebModel(folder).probabilities(np.zeros((0, 8, 8, 1), np.uint8)).shape == (0, 10)

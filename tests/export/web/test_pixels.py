"""What Chromium makes of image files, to the bit what the runtime does."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runtime
from runtime.image import ImageContract
from tests.browser import needs_chromium, opened
from tests.export.c.made import made
from tests.export.web.made import artefact, base64_of, web_page
from tests.export.web.pictures import deep_png, encoded, picture, pictures, turned
from trainer import Checkpoint, Dataset, fit

CONTRACTS = [
    ImageContract(height=28, width=28),
    ImageContract(height=20, width=30, color="RGB", fit="pad", fill=(30, 40, 50)),
    ImageContract(height=30, width=20, color="RGB", fit="crop"),
    ImageContract(height=7, width=9, fit="pad", fill=(200,)),
]
PIXELS = """async (files) => Promise.all(files.map(async (file) => {
  const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
  try {
    return btoa(String.fromCharCode(...await classifier.pixels(new Blob([bytes]))));
  } catch (error) {
    return error.message;
  }
}))"""
ANSWERS = """async (images) => {
  const bytes = Uint8Array.from(atob(images), (letter) => letter.charCodeAt(0)), found = [];
  const { height, width, color } = classifier.info().image, size = height * width * (color === "L" ? 1 : 3);
  for (let at = 0; at < bytes.length; at += size) {
    found.push(...await classifier.probabilities(bytes.slice(at, at + size)));
  }
  return found;
}"""


Found = Callable[[ImageContract, Iterable[bytes]], list[str]]


def loaded(window: Any) -> Any:
    window.wait_for_selector("#selftest:not(:empty)")
    return window


@needs_chromium
@pytest.mark.spawns
def test_it_answers_as_onnx_int8(page: Path, exported: dict[str, Path], digits: Dataset) -> None:
    check_answers(page, exported["onnx-int8"].read_bytes(), digits)


@needs_chromium
@pytest.mark.slow
def test_it_answers_as_onnx_int8_on_all_test_images_of_fashion_mnist(fashion: Dataset, tmp_path: Path) -> None:
    from export import export

    checkpoint: Checkpoint = fit(fashion).checkpoint
    model = export(checkpoint, "onnx-int8", tmp_path / "model.int8.onnx").path.read_bytes()
    check_answers(export(checkpoint, "html", tmp_path / "page.html").path, model, fashion)


def check_answers(page: Path, model: bytes, data: Dataset) -> None:
    images = data.test.images.numpy()
    expected = runtime.load(model).probabilities(images)
    with opened(page) as (window, _):
        answers = loaded(window).evaluate(ANSWERS, base64_of(images.tobytes()))
    found = np.array(answers, np.float32).reshape(expected.shape)
    print(f"{len(images):,} images in Chromium, largest difference {np.abs(found - expected).max():.1e}")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found.argmax(axis=1), expected.argmax(axis=1))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    """What a model of a contract makes of image files: pixels in base64, or why it refuses a file."""
    place = tmp_path_factory.mktemp("page") / "page.html"
    with opened(web_page(artefact(made(3, CONTRACTS[0])), place)) as (window, _):

        def pixels(image: ImageContract, files: Iterable[bytes]) -> list[str]:
            web_page(artefact(made(3, image)), place)
            window.reload()
            answers: list[str] = loaded(window).evaluate(PIXELS, list(map(base64_of, files)))
            return answers

        yield pixels


@needs_chromium
@pytest.mark.spawns
@pytest.mark.filterwarnings("ignore")  # Pillow's and the runtime's remarks on odd files
@pytest.mark.parametrize("image", CONTRACTS, ids=lambda image: f"{image.color}-{image.fit}")
def test_the_pixels_are_the_runtimes(found: Found, image: ImageContract) -> None:
    files = pictures()
    answers = dict(zip(files, found(image, files.values()), strict=True))
    expected = {name: base64_of(image.pixels(file).tobytes()) for name, file in files.items()}
    assert len(files) > 100
    assert {name: answer for name, answer in answers.items() if answer != expected[name]} == {}


@needs_chromium
@pytest.mark.spawns
def test_files_that_are_refused(found: Found) -> None:
    upside_down = encoded(picture(45, 33, "RGB"), "WEBP", exif=turned(3))
    whole = encoded(picture(45, 33, "RGB"), "PNG")
    turned_one, *others = found(CONTRACTS[0], [upside_down, b"no image", b"", whole[:40]])
    assert turned_one == "expected an upright WebP image, found an EXIF orientation: save it upright"
    for message in others:
        assert message.startswith("expected an image that can be decoded here, found "), message
        assert message.endswith(": use PNG, JPEG or raw pixels")


@needs_chromium
@pytest.mark.spawns
def test_16_bits_that_are_shifted_otherwise(found: Found) -> None:
    deep, shallow = deep_png(np.zeros((4, 4, 1), np.uint16), 0), encoded(picture(4, 4, "L"), "PNG")
    refused, pixels = found(ImageContract(height=4, width=4, shift=4), [deep, shallow])
    assert refused == "expected 8-bit pixels, found 16 bits: classify it in Python"
    assert not pixels.startswith("expected")

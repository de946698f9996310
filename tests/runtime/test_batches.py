"""Batches: what is one, in order, in bounded blocks, by as many threads as there are cores."""

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runtime import Classifier, ImageContract, InputError
from runtime.batches import blocks
from runtime.image import Pixels


@pytest.fixture
def pixels(images: Pixels) -> Any:
    return images


def test_a_batch_is_its_images_one_by_one(classifier: Classifier, pixels: Any, tmp_path: Path) -> None:
    Image.fromarray(pixels[2, :, :, 0]).save(tmp_path / "two.png")
    images = [pixels[0], pixels[1, :, :, 0], tmp_path / "two.png", Image.fromarray(pixels[3, :, :, 0])]
    batch = classifier.classify_batch(iter(images), top_k=3)
    for position, prediction in enumerate(batch):
        single = classifier.classify(pixels[position], top_k=3)
        assert (prediction.label, prediction.index) == (single.label, single.index)
        assert prediction.probability == pytest.approx(single.probability, abs=1e-6)
    assert len(batch) == 4
    assert classifier.classify_batch([]) == []


def test_a_bad_array_in_a_batch_is_named(classifier: Classifier) -> None:
    with pytest.raises(InputError, match="image 1: expected uint8 pixels 0-255, got float64"):
        classifier.classify_batch([np.zeros((8, 8), np.uint8), np.zeros((8, 8))])  # type: ignore[list-item]


def test_a_batch_of_files_in_order_and_bounded(
    classifier: Classifier, images: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.batches.BLOCK_IMAGES", 4)
    taken: list[int] = []
    given: list[int] = []

    def files() -> Iterator[Path | Pixels]:
        for number in range(18):
            taken.append(number)
            path = tmp_path / f"{number}.png"
            Image.fromarray(images[number, :, :, 0]).save(path)
            yield path if number % 3 else images[number]

    monkeypatch.setattr("runtime.skew.first_images.FirstImages.see", lambda *_: given.append(len(taken)))
    found = classifier.classify_batch(files())
    assert given == [4, 8, 12, 16, 18]
    assert [prediction.index for prediction in found] == classifier.probabilities(images[:18]).argmax(axis=1).tolist()


def test_a_batch_of_arrays_takes_no_threads(
    classifier: Classifier, images: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("runtime.threads.in_threads", never)
    found = classifier.classify_batch([images[0], *images[1:, :, :, 0]])
    assert [prediction.index for prediction in found] == classifier.probabilities(images).argmax(axis=1).tolist()
    with pytest.raises(AssertionError):
        classifier.classify_batch([*images[:3], np.zeros((9, 8), np.uint8)])


def test_a_bad_image_in_a_batch_is_named(classifier: Classifier, images: Pixels, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"^image 300: .*bad\.png: expected an image file"):
        classifier.classify_batch([*images[:300], tmp_path / "bad.png"])


def test_an_array_is_a_batch_with_the_right_number_of_axes(classifier: Classifier, images: Pixels) -> None:
    for batch in (images, images[..., 0], images.repeat(2, axis=1), images.repeat(3, axis=3)):
        assert classifier.classify_batch(batch) == classifier.classify_batch(list(batch))
    assert classifier.classify_batch(images[:0]) == []
    for one in (
        images[0],
        images[0, ..., 0],
        images[None],
        np.zeros((7, 8, 3), np.uint8),
        np.zeros((5, 9, 8), np.uint8),
    ):
        with pytest.raises(InputError, match=r"expected images \[N, 8, 8, 1\] or a list of images, got uint8"):
            classifier.classify_batch(one)


def test_rows_that_could_be_one_image_are_no_batch() -> None:
    """Where the model's images are 3 wide, [N, H, 3] is an image in colour."""
    shape = (9, 4, 3)
    with pytest.raises(InputError, match=r"expected images \[N, 4, 3, 1\] or a list of images, got uint8 \[9, 4, 3\]"):
        next(blocks(np.zeros(shape, np.uint8), ImageContract(height=4, width=3)))
    for batch in (np.zeros((*shape, 1), np.uint8), list(np.zeros(shape, np.uint8))):
        assert next(blocks(batch, ImageContract(height=4, width=3))).shape == (9, 4, 3, 1)


def test_an_array_of_names(classifier: Classifier, images: Pixels, tmp_path: Path) -> None:
    names = [str(tmp_path / f"{number}.png") for number in range(3)]
    for name, image in zip(names, images, strict=False):
        Image.fromarray(image[:, :, 0]).save(name)
    expected = classifier.classify_batch(names)
    assert classifier.classify_batch(np.array(names)) == expected
    assert classifier.classify_batch(np.array([Path(name) for name in names])) == expected


def test_a_sequence_without_an_iterator(classifier: Classifier, images: Pixels) -> None:
    class Sequence:
        def __getitem__(self, index: int) -> Pixels:
            found: Pixels = images[:3][index]
            return found

    assert len(classifier.classify_batch(Sequence())) == 3  # type: ignore[arg-type]


@pytest.mark.parametrize("cores", [1, 3])
def test_files_are_decoded_by_as_many_threads_as_there_are_cores(
    cores: int, classifier: Classifier, encoded: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.processes.cpus", lambda: cores)
    names: set[int] = set()

    def decode(data: bytes, **_: object) -> Image.Image:
        names.add(threading.get_ident())
        return Image.open(io.BytesIO(data))

    monkeypatch.setattr("runtime.decoding.decode", decode)
    classifier.classify_batch(encoded[:100])
    assert 1 <= len(names) <= cores

"""A model in C on this machine and on emulated ones: the same bits everywhere."""

from pathlib import Path

import numpy as np
import pytest

import runtime
from runtime.c.model import CompiledModel
from runtime.errors import ToolchainError
from runtime.image import ImageContract
from tests.compilers import ON_EMULATED
from tests.export.c.made import Made, made
from tests.export.c.test_source import flipped
from trainer import Dataset

SMALL = made(10, ImageContract(height=9, width=7), spread=20.0)
COLOUR = made(3, ImageContract(height=96, width=96, color="RGB"))
MANY = made(1000, ImageContract(height=4, width=4))


def test_it_answers_as_onnx_int8(c_folder: Path, c_library: Path, exported: dict[str, Path], digits: Dataset) -> None:
    images = digits.test.images.numpy()
    expected = runtime.load(exported["onnx-int8"]).probabilities(images)
    for path in (c_folder, c_library):
        found, labels = CompiledModel(path).answers(images)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(labels, expected.argmax(axis=1))


@pytest.mark.parametrize("target", ON_EMULATED)
def test_the_same_bits_on_every_processor(target: str, tmp_path: Path) -> None:
    images = SMALL.images(60)
    there = SMALL.compiled(tmp_path, target)
    np.testing.assert_array_equal(there.probabilities(images), SMALL.compiled(tmp_path).probabilities(images))
    assert there.selftest() == 0
    here, integer = (SMALL.compiled(tmp_path, name, integer=True) for name in ("host", target))
    np.testing.assert_array_equal(integer.probabilities(images), here.probabilities(images))
    assert integer.selftest() == 0


@pytest.mark.parametrize("target", ON_EMULATED)
def test_one_flipped_bit_fails_the_self_test_there(target: str, tmp_path: Path) -> None:
    assert CompiledModel(flipped(SMALL, tmp_path), target).selftest() >= 1


@pytest.mark.parametrize("target", ON_EMULATED)
@pytest.mark.parametrize("subject", [COLOUR, MANY], ids=["96x96x3", "1000 classes"])
def test_large_models_by_rows(subject: Made, target: str, tmp_path: Path) -> None:
    if target == "avr":
        with pytest.raises(ToolchainError, match=r"at most 65,536 bytes of flash|is too large"):
            subject.compiled(tmp_path, target)
        return
    images = subject.images(2)
    model = subject.compiled(tmp_path, target)
    np.testing.assert_array_equal(model.probabilities(images), subject.compiled(tmp_path).probabilities(images))


def test_no_image_at_all(c_folder: Path, digits: Dataset) -> None:
    probabilities, labels = CompiledModel(c_folder).answers(digits.test.images.numpy()[:0])
    assert (probabilities.shape, labels.shape) == ((0, 10), (0,))

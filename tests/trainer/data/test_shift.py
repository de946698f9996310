"""The shift of 16-bit pixels is chosen from the training images alone, said, and kept in the contract."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runtime.data import decode as decoding
from runtime.image import ImageContract
from runtime.remarks import Remarks
from tests.runtime.deep import deep, png
from trainer import Dataset, load_data
from trainer.data.shift import choose_shift

EIGHT = -1  # in place of the largest value: of images with 8 bits


def put(root: Path, **largest: int) -> Path:
    """Write four images of each part, in two classes; largest: part → the largest value of its images."""
    for part, most in largest.items():
        for label in "ab":
            (root / part / label).mkdir(parents=True)
            for number in range(2):
                path = root / part / label / f"{number}.png"
                if most == EIGHT:
                    Image.fromarray((deep(3, seed=number) >> 8).astype(np.uint8)).save(path)
                else:
                    path.write_bytes(png(deep(3, most, seed=number)))
    return root


def load(root: Path, **settings: Any) -> Dataset:
    return load_data(root, image_size=8, **settings)


@pytest.mark.parametrize(
    ("largest", "shift"),
    [(0, 0), (255, 0), (256, 2), (1023, 2), (1024, 4), (4095, 4), (4096, 6), (16383, 6), (16384, 8), (65535, 8)],
)
def test_the_smallest_depth_of_a_camera_that_clips_nothing(
    largest: int, shift: int, capsys: pytest.CaptureFixture[str]
) -> None:
    images = SimpleNamespace(name=str)
    source: Any = SimpleNamespace(name="photos", images=images, targets=lambda: {"train": [0] * 3, "test": [0]})
    remarks = {"0": Remarks(largest=0), "2": Remarks(largest=largest), "3": Remarks(largest=65535)}
    assert choose_shift(source, remarks) == shift
    assert capsys.readouterr().err == (
        f"photos: 2 of 3 training images have 16-bit pixels, of up to {largest:,}: shifted by {shift} to 8 bits "
        "(--shift)\n"
    )


def test_the_contract_has_it_and_the_pixels_are_those_of_the_runtime(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = put(tmp_path / "photos", train=4095, test=4095)
    for _ in range(2):  # decoded, and from the cache
        data = load(root)
        assert data.contract == ImageContract(height=8, width=8, color="RGB", shift=4)
        assert capsys.readouterr().err == (
            "photos: 4 of 4 training images have 16-bit pixels, of up to 4,095: shifted by 4 to 8 bits (--shift)\n"
        )
    names = sorted((root / "train").rglob("*.png"))
    expected = np.stack([data.contract.pixels(name, Remarks()) for name in names])
    np.testing.assert_array_equal(data.train.images.numpy(), expected)
    assert expected.max() > 100


def test_the_test_images_have_no_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = load(put(tmp_path / "photos", train=255, test=65535))
    assert data.contract.shift == 0
    assert capsys.readouterr().err.splitlines() == [
        "photos: 4 of 4 training images have 16-bit pixels, of up to 255: shifted by 0 to 8 bits (--shift)",
        "photos: expected 16-bit pixels of at most 255, found larger ones in 4 of 8 images, which became white: check "
        "the camera, or train on such images too",
    ]


def test_sixteen_bits_in_test_images_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load(put(tmp_path / "photos", train=EIGHT, test=4095)).contract.shift == 8
    assert capsys.readouterr().err == (
        "photos: 4 validation or test images, but no training image, have 16-bit pixels: shifted by 8 to 8 bits "
        "(--shift)\n"
    )


def test_nothing_is_said_of_eight_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load(put(tmp_path / "photos", train=EIGHT, test=EIGHT)).contract.shift == 8
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("contract", [None, ImageContract(height=8, width=8, color="RGB", shift=6)])
def test_a_shift_that_is_given_is_not_chosen(
    contract: ImageContract | None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[ImageContract] = []
    decode = decoding.decode

    def counted(images: Any, given: ImageContract) -> Any:
        calls.append(given)
        return decode(images, given)

    monkeypatch.setattr(decoding, "decode", counted)
    root = put(tmp_path / "photos", train=4095, test=4095)
    data = load(root, shift=6) if contract is None else load_data(root, contract=contract)
    assert data.contract.shift == 6
    assert calls == [data.contract]
    assert capsys.readouterr().err == ""

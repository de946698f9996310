"""Images mapped from a file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trainer.data.mapped import MappedImages, take


@pytest.fixture
def array(tmp_path: Path) -> NDArray[np.uint8]:
    """50 random images in a file."""
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (50, 8, 8, 1), np.uint8))
    found = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert isinstance(found, np.memmap)
    return found


def test_mapped_images_read_like_a_tensor(array: NDArray[np.uint8]) -> None:
    images, tensor = MappedImages(array), torch.from_numpy(np.array(array))
    rows = torch.tensor([3, 1, 49])
    assert (images.shape, images.dtype, images.ndim, len(images)) == (tensor.shape, tensor.dtype, 4, 50)
    assert images.nbytes == tensor.nbytes
    for which in (0, -1, slice(3, 9), slice(40, 90), slice(None, None, 7), rows, torch.arange(50) % 3 == 1):
        assert torch.equal(images[which], tensor[which])
    assert all(torch.equal(*blocks) for blocks in zip(images.split(7), tensor.split(7), strict=True))
    np.testing.assert_array_equal(images.numpy(), tensor.numpy())
    some = images.subset(torch.arange(10, 40)).subset(rows[:2])
    assert torch.equal(some.to(torch.device("cpu")), tensor[[13, 11]])
    assert torch.equal(MappedImages(array[5:, :, :, 0])[:], tensor[5:])
    with pytest.raises(IndexError):
        images[50]


@pytest.mark.parametrize("keep", [0, 2**30])
def test_rows_are_copied_to_where_they_are_wanted(array: NDArray[np.uint8], keep: int) -> None:
    rows, out = torch.tensor([7, 0, 7]), torch.empty(3, 8, 8, 1, dtype=torch.uint8)
    expected = torch.from_numpy(np.array(array))[rows]
    for images in (MappedImages(array).keeping(keep), torch.from_numpy(np.array(array))):
        assert take(images, rows, out.zero_()) is out
        assert torch.equal(out, expected)

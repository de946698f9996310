"""Data sets in torchvision's layout, read as torchvision reads them."""

from pathlib import Path

import pytest
import torch

from runtime.data.known import KNOWN
from tests.idx import write_fashion
from trainer.data.torchvision import FACTORIES, load_known


@pytest.mark.parametrize("name", [name for name, known in KNOWN.items() if known.labels])
def test_idx_files_are_read_as_torchvision_reads_them(tmp_path: Path, name: str) -> None:
    from torchvision import datasets

    root = write_fashion(tmp_path)
    (root / "FashionMNIST").rename(root / FACTORIES[name])
    found = load_known(name, root)
    for train, split in ((True, found.train), (False, found.test)):
        expected = getattr(datasets, FACTORIES[name])(root, train=train, download=False)
        assert torch.equal(split.images[:], expected.data[..., None])
        assert torch.equal(split.targets, expected.targets)
        assert found.labels == tuple(expected.classes)
        assert (root / KNOWN[name].folder) == Path(expected.raw_folder)

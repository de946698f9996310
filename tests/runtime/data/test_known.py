"""Data sets of a name, read without torchvision."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from runtime.data.known import CIFAR_FILES, read_known
from runtime.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """CIFAR-10's files, with 2 images in each."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for number, name in enumerate(CIFAR_FILES):
        rows = np.full((2, 3072), number, np.uint8)
        rows[:, 1024:2048] = 100
        batch: object = {"data": rows, "labels": [number, 0]}
        if name == "batches.meta":
            batch = {"label_names": list("abcdefghij")}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    return tmp_path


def test_cifar10(root: Path) -> None:
    labels, parts = read_known("cifar10", root)
    assert labels == tuple("abcdefghij")
    train, test = parts["train"], parts["test"]
    assert train.images.shape == (10, 32, 32, 3)
    assert train.images.dtype == np.uint8
    assert train.images.flags.c_contiguous
    assert train.images[3, 5, 7].tolist() == [1, 100, 1]
    assert (train.targets.tolist(), test.targets.tolist()) == ([0, 0, 1, 0, 2, 0, 3, 0, 4, 0], [5, 0])


class Runs:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("made",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(Runs()), "it names posix.mkdir"),
        (b"", "expected a file of CIFAR-10, found other content"),
        (pickle.dumps({}), "expected CIFAR-10's files, found other content"),
        (pickle.dumps({"data": np.zeros((2, 5)), "labels": [0]}, protocol=2), "expected CIFAR-10's files, found other"),
    ],
)
def test_other_content_is_refused_and_runs_nothing(
    root: Path, content: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    (root / "cifar-10-batches-py" / "data_batch_2").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_known("cifar10", root)
    assert not (root / "made").exists()

"""Reading a folder without the trainer; tests/trainer/data/test_load_folder.py has the layouts."""

from pathlib import Path

import numpy as np
import pytest

from runtime.data.folder import LAYOUT, LabelledFolder, walk
from runtime.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("train/b/1.png", "train/b/deep/2.png", "train/b/.hidden.png", "train/a/1.png", "train/a/.h/2.png"):
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pets" / name).touch()
    for name in ("test/a/3.png", "test/b/4.png", "test/b/notes.txt"):
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pets" / name).touch()
    return tmp_path / "pets"


def test_labels_images_and_targets_of_each_part(root: Path) -> None:
    source = LabelledFolder(root)
    assert (source.name, list(source.labels)) == ("pets", ["a", "b"])
    names = ["train/a/1.png", "train/b/1.png", "train/b/deep/2.png", "test/a/3.png", "test/b/4.png"]
    assert [source.images.name(position) for position in range(len(source.images))] == names
    assert [targets.tolist() for targets in source.targets()] == [[0, 1, 1], [0, 1]]
    assert [targets.dtype for targets in source.targets()] == [np.int64, np.int64]
    assert [targets.tolist() for targets in source.targets({"train/b/1.png"})] == [[0, 1], [0, 1]]


def test_a_class_without_readable_images(root: Path) -> None:
    with pytest.raises(DataError, match=r"test/a: expected at least 1 readable image .*, found 0: add some, or remove"):
        LabelledFolder(root).targets({"test/a/3.png"})


@pytest.mark.parametrize(("name", "reason"), [("nowhere", "No such file or directory"), ("1.png", "Not a directory")])
def test_no_folder(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "1.png").touch()
    with pytest.raises(DataError) as caught:
        LabelledFolder(tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name}: expected a folder of images, found: {reason}: {LAYOUT}"


def test_walking_leaves_out_what_is_hidden(root: Path) -> None:
    found = {Path(folder).relative_to(root).as_posix(): sorted(names) for folder, names in walk(root / "train")}
    assert found == {"train": [], "train/a": ["1.png"], "train/b": ["1.png"], "train/b/deep": ["2.png"]}

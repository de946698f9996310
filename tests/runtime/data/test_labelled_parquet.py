"""Labels and parts of Parquet files, without the trainer; tests/trainer/data/test_load_parquet.py has all kinds."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runtime.data.labelled_parquet import LabelledParquet
from runtime.errors import DataError

FILES = {"train-0": "bbaa", "train-1": "bc", "test": "ca"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, labels in FILES.items():
        images = [f"{name}{label}".encode() for label in labels]
        pq.write_table(pa.table({"image": images, "label": list(labels)}), tmp_path / f"{name}.parquet")
    return tmp_path


def test_labels_images_and_targets_of_each_part(folder: Path) -> None:
    source = LabelledParquet(str(folder))
    assert (source.name, list(source.labels)) == (folder.name, ["a", "b", "c"])
    assert list(source.images) == [f"{name}{label}".encode() for name, labels in FILES.items() for label in labels]
    assert {part: targets.tolist() for part, targets in source.targets().items()} == {
        "train": [1, 1, 0, 0, 1, 2],
        "test": [2, 0],
    }
    assert {targets.dtype for targets in source.targets().values()} == {np.dtype(np.int64)}
    missing = {source.images.name(position) for position in (1, 6)}
    assert missing == {f"{folder}/train-0.parquet row 1", f"{folder}/test.parquet row 0"}
    assert [targets.tolist() for targets in source.targets(missing).values()] == [[1, 0, 0, 1, 2], [0]]


def test_the_states_change_with_a_file(folder: Path) -> None:
    before = list(LabelledParquet(str(folder)).images.states())
    pq.write_table(pa.table({"image": [b"another"], "label": ["a"]}), folder / "test.parquet")
    after = list(LabelledParquet(str(folder)).images.states())
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, True, False]


def test_labels_of_two_kinds(folder: Path) -> None:
    pq.write_table(pa.table({"image": [b"1"], "label": [0]}), folder / "test.parquet")
    with pytest.raises(DataError, match="expected labels of one kind and the same names in all files, found 2"):
        LabelledParquet(str(folder))

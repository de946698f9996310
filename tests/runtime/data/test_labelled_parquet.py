"""Labels and parts of Parquet files, without the trainer; tests/trainer/data/test_load_parquet.py has all kinds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runtime.data.labelled_parquet import LabelledParquet
from runtime.data.table import Columns
from runtime.errors import DataError

METADATA = {"huggingface": json.dumps({"info": {"features": {"label": {"names": ["cat", "dog"]}}}})}
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


def write(path: Path, labels: list[int], *, images: Any = None, kind: Any = None) -> None:
    """Images that are their row's number, and labels with names."""
    found = pa.array([b"%d" % row for row in range(len(labels))] if images is None else images, kind)
    table = pa.table({"image": found, "label": labels}).replace_schema_metadata(METADATA)
    pq.write_table(table, path, row_group_size=4)


def test_rows_without_a_label_are_counted_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "train-0.parquet", [-1, 1, 0, -1, -1, -1, -1, -1, 1, 1, -1])
    write(tmp_path / "train-1.parquet", [-1])
    write(tmp_path / "validation.parquet", [0, 1])
    write(tmp_path / "test.parquet", [-1, -1, -1])
    source = LabelledParquet(str(tmp_path))
    assert capsys.readouterr().err.splitlines() == [
        f"{tmp_path}: 8 training images have no label, and are left out",
        f"{tmp_path}/test.parquet: 3 images have no label, and are left out",
    ]
    assert list(source.labels) == ["cat", "dog"]
    assert {part: targets.tolist() for part, targets in source.targets().items()} == {
        "train": [1, 0, 1, 1],
        "val": [0, 1],
    }
    assert list(source.images) == [b"1", b"2", b"8", b"9", b"0", b"1"]
    names = [source.images.name(position) for position in range(len(source.images))]
    rows = [("train-0", 1), ("train-0", 2), ("train-0", 8), ("train-0", 9), ("validation", 0), ("validation", 1)]
    assert names == [f"{tmp_path}/{name}.parquet row {row}" for name, row in rows]
    assert source.targets({names[1], names[5]})["train"].tolist() == [1, 1, 1]


def test_no_label_at_all(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [-1, -1])
    with pytest.raises(DataError, match="expected labels, found images without any: fill them in"):
        LabelledParquet(str(tmp_path))


def test_the_column_of_labels_decides_which_images_there_are(tmp_path: Path) -> None:
    """So that the cache has one entry for each."""
    features = {"features": {"fine": {"names": ["a", "b"]}, "coarse": {"names": ["c", "d"]}}}
    table = pa.table({"image": [b"1", b"2", b"3"], "fine": [0, -1, 1], "coarse": [0, 1, -1]})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": features})})
    pq.write_table(table, tmp_path / "train.parquet")
    one, other = (LabelledParquet(str(tmp_path), Columns(labels=column)) for column in ("fine", "coarse"))
    assert (list(one.labels), list(one.images)) == (["a", "b"], [b"1", b"3"])
    assert (list(other.labels), list(other.images)) == (["c", "d"], [b"1", b"2"])
    assert list(one.images.states()) != list(other.images.states())


def test_the_states_change_with_an_image_beside(tmp_path: Path) -> None:
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = [{"bytes": None, "path": "1.png"}, {"bytes": b"2", "path": "2.png"}]
    write(tmp_path / "train.parquet", [0, 1], images=images, kind=struct)
    states = []
    for content in (b"1", b"another"):
        (tmp_path / "1.png").write_bytes(content)
        source = LabelledParquet(str(tmp_path))
        states.append(list(source.images.states()))
        assert list(source.images) == [tmp_path / "1.png", b"2"]
    assert states[0] != states[1]


def test_files_of_the_same_name_keep_their_labels(tmp_path: Path) -> None:
    for part, label in {"train": "Cat", "test": "cat"}.items():
        (tmp_path / part).mkdir()
        pq.write_table(pa.table({"image": [b"1"], "label": [label]}), tmp_path / part / "0.parquet")
    with pytest.raises(DataError, match=r"found 'Cat' in train/0\.parquet and 'cat' in test/0\.parquet"):
        LabelledParquet(str(tmp_path))

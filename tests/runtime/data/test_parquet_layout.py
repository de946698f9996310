"""Layouts of Parquet files: which are read, as which part, and what has two readings."""

import re
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runtime.data.labelled import open_labelled
from runtime.data.labelled_parquet import LabelledParquet
from runtime.data.parquet_layout import find_files, is_parquet_data
from runtime.errors import DataError

from .trees import grow

HUB = ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "validation-00000-of-00001.parquet",
       "test-00000-of-00001.parquet"]  # fmt: skip
ALL = {"train": HUB[:2], "val": HUB[2:3], "test": HUB[3:]}


def below(folder: str, parts: dict[str, list[str]] = ALL) -> dict[str, list[str]]:
    return {part: [f"{folder}/{name}" for name in names] for part, names in parts.items()}


CONVERTED = {"train": ["train/0000.parquet", "train/0001.parquet"], "val": ["validation/0000.parquet"],
             "test": ["test/0000.parquet"]}  # fmt: skip
LAYOUTS = {
    "the hub's, pushed": (below("data"), []),
    "the hub's, pushed as a configuration": (below("small"), ["README.md"]),
    "the hub's, converted": (below("default", CONVERTED), []),
    "the hub's, converted in part": ({"train": ["default/partial-train/0000.parquet"]}, []),
    "a folder for each part": (CONVERTED, []),
    "names of another's": ({"train": ["train/part-7.snappy.parquet"], "test": ["test/part-0.parquet"]}, []),
    "the folder itself": (ALL, []),
    "one file": ({"train": ["pets.parquet"]}, []),
    "files of no part": ({"train": ["data/0.parquet", "data/1.parquet"]}, []),
    "files of no part beside a test file": ({"train": ["pets.parquet"], "test": ["test.parquet"]}, []),
    "test alone": ({"test": ["data/test-00000-of-00001.parquet"]}, []),
    "hidden": ({"train": ["pets.parquet"]}, [".pets.parquet", ".cache/train/0000.parquet"]),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(name: str, tmp_path: Path) -> None:
    parts, others = LAYOUTS[name]
    grow(tmp_path / "pets", *(file for files in parts.values() for file in files), *others)
    assert is_parquet_data(str(tmp_path / "pets"))
    expected = {part: [str(tmp_path / "pets" / file) for file in files] for part, files in parts.items()}
    assert find_files(str(tmp_path / "pets")) == expected
    assert list(find_files(str(tmp_path / "pets"))) == list(expected)


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_at_a_url(name: str, tmp_path: Path) -> None:
    parts, _ = LAYOUTS[name]
    root = f"/{tmp_path.name}/pets"
    for file in (file for files in parts.values() for file in files):
        fsspec.filesystem("memory").pipe(f"{root}/{file}", b"")
    expected = {part: [f"memory://{root}/{file}" for file in files] for part, files in parts.items()}
    assert find_files(f"memory:/{root}") == expected


def test_what_names_no_part_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grow(tmp_path, "train.parquet", "index.parquet")
    assert find_files(str(tmp_path)) == {"train": [f"{tmp_path}/train.parquet"]}
    assert capsys.readouterr().err == f"{tmp_path}: index.parquet left out, which names no part of the data set\n"


NO_PARQUET = {
    "photos": ["a/0.png", "b/1.png"],
    "a table of metadata in a folder of images": ["train/metadata.parquet", "train/1.png"],
    "a table of metadata beside class folders": ["train/metadata.parquet", "train/a/1.png"],
    "files elsewhere": ["a/0.png", "b/1.png", "more/features.parquet"],
    "deeper": ["a/b/c/train.parquet"],
    "nothing": [],
}


@pytest.mark.parametrize("name", NO_PARQUET)
def test_other_folders(name: str, tmp_path: Path) -> None:
    assert not is_parquet_data(str(grow(tmp_path, *NO_PARQUET[name])))


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(grow(tmp_path, "notes.txt"))
    names = ("a.parquet", "a.PARQUET", "s3://bucket/set", "absent", "notes.txt", "a.png", "x" * 5000)
    assert [is_parquet_data(name) for name in names] == [True] * 3 + [False] * 4


def test_predictions_and_links_back_are_no_parts(tmp_path: Path) -> None:
    grow(tmp_path, "a/0.png", "test/")
    columns = pa.table({name: ["1"] for name in ("path", "row", "probability", "error")})
    pq.write_table(columns, tmp_path / "test" / "part-00000.parquet")
    assert not is_parquet_data(str(tmp_path))
    pq.write_table(columns, grow(tmp_path / "pets", "train/") / "train" / "0000.parquet")
    (tmp_path / "pets" / "again").symlink_to(tmp_path / "pets")
    assert find_files(str(tmp_path / "pets")) == {"train": [f"{tmp_path}/pets/train/0000.parquet"]}


SEVERAL = {
    "pushed": (["large/train-0.parquet", "small/train-0.parquet"], "{0}/large, {0}/small"),
    "converted": (["large/train/0.parquet", "small/train/0.parquet"], "{0}/large, {0}/small"),
    "one of them the default": (["data/train-0.parquet", "small/train-0.parquet"], "{0}/data, {0}/small"),
    "pushed and converted": (["data/train-0.parquet", "default/train/0.parquet"], "{0}/data, {0}/default"),
    "one of them the folder": (["pets.parquet", "old/train-0.parquet"], "{0}/old, files in {0} itself"),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_several_configurations(name: str, tmp_path: Path) -> None:
    files, shown = SEVERAL[name]
    root = grow(tmp_path / "pets", *files)
    message = f"{root}: expected one reading, found 2 configurations: {shown.format(root)}: pass one of them as --data"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        open_labelled(root)


def test_the_remedy_works(tmp_path: Path) -> None:
    root = grow(tmp_path / "pets", "large/train/", "small/train/")
    for folder in ("large", "small"):
        pq.write_table(pa.table({"image": [b"1"], "label": [folder]}), root / folder / "train" / "0000.parquet")
    found = open_labelled(root / "small")
    assert isinstance(found, LabelledParquet)
    assert list(found.labels) == ["small"]

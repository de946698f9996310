"""Images in Parquet: kinds of columns, and files that paths name."""

import json
import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runtime.data.labelled_parquet import LabelledParquet
from runtime.data.parquet import Reader, files_beside, find_rows
from runtime.data.table import Columns
from runtime.errors import InputError
from runtime.image import Encoded

from .trees import grow

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
LEAVES = "expected a path that stays in the Parquet file's folder, found {}: write it relative to that folder, or "


def write(path: Path | str, images: Sequence[Any], kind: Any = STRUCT, **settings: Any) -> str:
    pq.write_table(pa.table({"image": pa.array(images, kind)}), path, **settings)
    return str(path)


def read(name: str, source: str | None = None) -> list[Encoded]:
    rows = find_rows(name, source or name, column=None, size=100)
    with closing(Reader()) as reader:
        return [image for one in rows for image in reader.images(one)]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()], ids=str)
@pytest.mark.parametrize("text", [pa.string(), pa.large_string(), pa.string_view(), pa.int8(), None], ids=str)
def test_kinds(kind: Any, text: Any, tmp_path: Path) -> None:
    assert read(write(tmp_path / "plain.parquet", [b"1", None], kind)) == [b"1", None]
    struct = pa.struct([("bytes", kind), *([("path", text)] if text else []), ("width", pa.int32())])
    assert read(write(tmp_path / "struct.parquet", [{"bytes": b"1"}, {}, None], struct)) == [b"1", None, None]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_paths_are_read_where_there_are_no_bytes(kind: Any, tmp_path: Path) -> None:
    grow(tmp_path, "1.png", "deep/2.png", "3.png")
    struct = pa.struct([("bytes", pa.large_binary()), ("path", kind)])
    rows: list[tuple[bytes | None, str | None]] = [
        (None, "1.png"), (b"2", "1.png"), (None, "deep/2.png"), (None, "deep\\2.png"), (None, None), (None, ""),
    ]  # fmt: skip
    file = write(tmp_path / "a.parquet", [{"bytes": image, "path": path} for image, path in rows], struct)
    first, deep = tmp_path / "1.png", tmp_path / "deep" / "2.png"
    assert read(file) == [first, b"2", deep, deep, None, None]


def test_a_column_of_paths_alone(tmp_path: Path) -> None:
    table = pa.table({"image": [{"bytes": None, "path": "1.png"}], "other": [{"bytes": None, "path": None}]})
    pq.write_table(table, grow(tmp_path, "1.png") / "a.parquet")
    assert read(str(tmp_path / "a.parquet")) == [tmp_path / "1.png"]
    (rows,) = find_rows("a", str(tmp_path / "a.parquet"), column=None, size=9)
    assert list(files_beside([rows])) == [tmp_path / "1.png"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../secret.png", LEAVES),
        ("deep/../../secret.png", LEAVES),
        ("..\\secret.png", LEAVES),
        ("/etc/secret.png", LEAVES),
        ("C:\\secret.png", LEAVES),
        ("\\\\server\\secret.png", LEAVES),
        (".", LEAVES),
        ("out/secret.png", LEAVES),  # a link to a folder
        ("deep/out/secret.png", LEAVES),
        ("absent.png", "or a file {} in the Parquet file's folder, found neither: copy it there"),
        ("deep", "or a file {} in the Parquet file's folder, found neither: copy it there"),
        ("pipe.png", "or a file {} in the Parquet file's folder, found neither: copy it there"),
        ("nul\0.png", "or a file {} in the Parquet file's folder, found neither: copy it there"),
    ],
)
def test_paths_that_are_not_read(path: str, message: str, tmp_path: Path) -> None:
    grow(tmp_path, "secret.png", "pets/deep/")
    for link in ("pets/out", "pets/deep/out"):
        (tmp_path / link).symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pets" / "pipe.png")
    (found,) = read(write(tmp_path / "pets" / "a.parquet", [{"bytes": None, "path": path}]))
    assert isinstance(found, InputError)
    assert message.format(path) in str(found)


def test_links_to_files_are_followed(tmp_path: Path) -> None:
    """As in folders, and as the hub's cache has all files, Parquet among them."""
    grow(tmp_path, "blobs/1", "snapshot/deep/")
    (tmp_path / "snapshot" / "deep" / "1.png").symlink_to(tmp_path / "blobs" / "1")
    write(tmp_path / "blobs" / "2", [{"bytes": None, "path": "deep/1.png"}])
    (tmp_path / "snapshot" / "a.parquet").symlink_to(tmp_path / "blobs" / "2")
    (tmp_path / "linked").symlink_to(tmp_path / "snapshot")
    assert read(f"{tmp_path}/linked/a.parquet") == [tmp_path / "linked" / "deep" / "1.png"]


def test_paths_at_a_url(tmp_path: Path) -> None:
    data = Path(write(tmp_path / "a.parquet", [{"bytes": None, "path": "1.png"}])).read_bytes()
    fsspec.filesystem("memory").pipe("/paths/a.parquet", data)
    (found,) = read("memory://paths/a.parquet")
    assert "expected the bytes of an encoded image, found only its path 1.png: copy the data to a disk" in str(found)
    assert list(files_beside(find_rows("x", "memory://paths/a.parquet", column=None, size=9))) == []


def test_files_beside_are_listed_without_reading_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = grow(tmp_path, "1.png", "2.png", "3.png")
    images = [
        {"bytes": b"1", "path": "1.png"}, {"bytes": b"2", "path": "2.png"},  # a row group that has all bytes
        {"bytes": None, "path": "3.png"}, {"bytes": None, "path": "../3.png"}, None, {"bytes": None, "path": None},
    ]  # fmt: skip
    file = write(tmp_path / "a.parquet", images, row_group_size=2)
    rows = find_rows(file, file, column=None, size=1)
    read_columns: list[list[str]] = []
    read_row_group = pq.ParquetFile.read_row_group

    def spied(self: pq.ParquetFile, group: int, columns: list[str]) -> pa.Table:
        read_columns.append(columns)
        return read_row_group(self, group, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", spied)
    assert list(files_beside(rows)) == [names / "3.png"]
    assert read_columns == [["image.path"]] * 2
    file = write(tmp_path / "b.parquet", images, row_group_size=2, write_statistics=False)
    assert list(files_beside(find_rows(file, file, column=None, size=9))) == [names / f"{n}.png" for n in (1, 2, 3)]


def test_several_columns(tmp_path: Path) -> None:
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["a", "b"]}}
    table = pa.table({"image": [b"1"], "mask": [b"2"], "image.path": ["x"], "label": [0]})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match="expected one column of images, found image, mask: choose one with --column"):
        LabelledParquet(str(tmp_path))
    for column, expected in {"image": b"1", "mask": b"2"}.items():
        assert list(LabelledParquet(str(tmp_path), Columns(column)).images) == [expected]
    with pytest.raises(InputError, match="expected label, a column of encoded images: binary, or a struct of bytes"):
        LabelledParquet(str(tmp_path), Columns("label"))

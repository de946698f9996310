"""Tables of files and labels: what is read, and what each bad one answers."""

import re
from pathlib import Path

import pytest

from runtime.data.by_tables import by_tables
from runtime.data.table import MAX_BYTES, Columns, Row, read_table
from runtime.data.tree import Folder
from runtime.errors import DataError

from .trees import grow


def read(root: Path, text: str | bytes, columns: Columns = Columns(), name: str = "labels.csv") -> list[Row]:  # noqa: B008
    (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(Folder(root), name, columns)


def test_cells(tmp_path: Path) -> None:
    rows = read(tmp_path, '\ufeff"File Name", file ,label\r\n\r\nx,"a, ""b"".png", red \r\ny,\r\n')
    assert rows == [Row('a, "b".png', "red", None, 3), Row(None, None, None, 4)]
    rows = read(tmp_path, "one,two,file,label\nx.png,cat,y.png,dog\n", Columns("one", "two"))
    assert rows == [Row("x.png", "cat", None, 2)]
    text = '{"file_name": "x.png", "label": 3, "split": "val"}\n{"file_name": {"path": "y.png"}, "label": true}\n'
    assert read(tmp_path, text, name="labels.jsonl") == [Row("x.png", "3", "val", 1), Row("y.png", "True", None, 2)]


BAD: list[tuple[str, str | bytes, str]] = [
    ("labels.csv", "", ": expected a row for each image, found none: fill it in"),
    ("labels.csv", "file,label\n", ": expected a row for each image, found none: fill it in"),
    ("labels.csv", b"file,label\n\xff.png,a\n", ": expected text in UTF-8, found other bytes"),
    ("labels.csv", b"file,label\n\0.png,a\n", ": expected text, found a NUL character: save it as UTF-8"),
    ("labels.csv", 'file,label\n"a.png,a\nb.png,b\n',
     " line 3: expected cells, found: unexpected end of data: mend its quotes"),
    ("labels.csv", "file,label\n" + "x" * 10**7, " line 2: expected cells, found: field larger than field limit"),
    ("labels.csv", "file,kind\na.png,a\n", ": expected a column one of label, labels, class, class_name, category, "
     "target, "
     "found file, kind: name one of them with --label-column"),
    ("labels.csv", "name,label\na.png,a\n", ": expected a column one of file_name, "),
    ("labels.jsonl", "[1]\n",
     " line 1: expected a JSON object of at most 1,048,576 characters, found another line: mend it"),
    ("labels.jsonl", "{\n", " line 1: expected a JSON object, found: "),
    ("labels.jsonl", "[" * 10**5, " line 1: expected a JSON object, found: "),
    ("labels.jsonl", '{"file": [1], "label": 1}', " line 1: expected text or a whole number, found list: mend it"),
    ("labels.jsonl", '{"file": "a", "label": NaN}', " line 1: expected text or a whole number, found float: mend it"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "message"), BAD, ids=range(len(BAD)))
def test_bad_tables(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match="^" + re.escape(f"{tmp_path}/{name}{message}")):
        read(tmp_path, text, name=name)


def test_a_table_that_is_too_large(tmp_path: Path) -> None:
    with (tmp_path / "labels.csv").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(DataError, match="expected a table of at most 256 MB, found a larger one: divide it"):
        read_table(Folder(tmp_path), "labels.csv", Columns())


ROWS = [
    ("/etc/1.png,a", " line 2: expected a path that stays in the table's folder, found /etc/1.png: write it relative"),
    ("../1.png,a", " line 2: expected a path that stays in the table's folder, found ../1.png"),
    ("C:\\1.png,a", " line 2: expected a path that stays in the table's folder, found C:"),
    (".,a", " line 2: expected a path that stays in the table's folder, found .: write it relative"),
    ("x/1.png,a", ""),
    (",a", " line 2: expected a file's name, found none: fill it in"),
    ("x/1.png,", " line 2: expected a label, found none: fill it in"),
    ("x/1.png,a,third", " line 2: expected train, val or test, found third: fill it in"),
    ("x/1.png,a\nx/1.png,b",
     " line 3: expected one label and one part for x/1.png, found train a and train b: remove one"),
    ("x/1.png,a\nx/1.png,a", ""),
    ("1.png,a",
     " line 2: expected one file of the name 1.png, found x/1.png and y/1.png: write paths relative to the table"),
    ("2,a", ""),
    ("data/x/1.png,a", ""),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "message"), ROWS)
def test_rows(tmp_path: Path, rows: str, message: str) -> None:
    tree = Folder(grow(tmp_path, "x/1.png", "y/1.png", "x/2.png", **{"labels.csv": f"file,label,split\n{rows}\n"}))
    if message:
        with pytest.raises(DataError, match="^" + re.escape(f"{tmp_path}/labels.csv{message}")):
            by_tables(tree, ["labels.csv"], Columns())
    else:
        wanted = "x/2.png" if rows.startswith("2") else "x/1.png"
        assert by_tables(tree, ["labels.csv"], Columns()) == {"train": {"a": [wanted]}}


def test_an_image_behind_a_link_to_a_folder_is_not_read(tmp_path: Path) -> None:
    grow(tmp_path / "outside", "1.png")
    root = grow(tmp_path / "root", "2.png")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "labels.csv").write_text("file,label\n2.png,a\nout/1.png,b\n")
    with pytest.raises(
        DataError, match=r"labels.csv line 3: .*found no folder of out/1.png in it \(links to folders are not"
    ):
        by_tables(Folder(root), ["labels.csv"], Columns())

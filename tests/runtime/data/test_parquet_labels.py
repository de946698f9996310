"""Labels in Parquet: kinds of columns, names in Hugging Face's metadata, and which column is taken."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runtime.data.parquet_labels import read_labels
from runtime.errors import DataError

NAMES = ["cat", "dog"]


def write(folder: Path, columns: dict[str, Any], **names: list[str]) -> str:
    """Write columns, and names of classes as Hugging Face `datasets` does."""
    features = {column: {"dtype": "int64", "_type": "Value"} for column in columns}
    named = {column: {"names": of_column, "_type": "ClassLabel"} for column, of_column in names.items()}
    document = {"info": {"features": features | named}, "fingerprint": "0"}
    table = pa.table(columns).replace_schema_metadata({"huggingface": json.dumps(document)})
    pq.write_table(table, folder / "a.parquet", row_group_size=2)
    return str(folder / "a.parquet")


KINDS = {
    "text": (["b", "a", "b"], ["a", "b"]),
    "large_string": (pa.array(["b", "a", "b"], pa.large_string()), ["a", "b"]),
    "string_view": (pa.array(["b", "a", "b"], pa.string_view()), ["a", "b"]),
    "dictionary": (pa.array(["b", "a", "b"]).dictionary_encode(), ["a", "b"]),
    "dictionary of int8 and large_string": (
        pa.array(["b", "a", "b"], pa.dictionary(pa.int8(), pa.large_string())), ["a", "b"],
    ),
    "bool": ([True, False, True], [False, True]),
    "int8": (pa.array([7, -1, 7], pa.int8()), [-1, 7]),
    "uint64": (pa.array([7, 1, 7], pa.uint64()), [1, 7]),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind: str, tmp_path: Path) -> None:
    values, classes = KINDS[kind]
    found = read_labels(write(tmp_path, {"label": values}), None)
    assert sorted(found.classes) == classes
    assert [found.classes[target] for target in found.targets] == [classes[1], classes[0], classes[1]]
    assert not found.named


@pytest.mark.parametrize("kind", [pa.int64(), pa.int32(), pa.uint8()], ids=str)
def test_names_in_the_metadata(kind: Any, tmp_path: Path) -> None:
    found = read_labels(write(tmp_path, {"label": pa.array([1, 0, 1], kind)}, label=NAMES), None)
    assert (found.classes, found.targets.tolist(), found.named) == (NAMES, [1, 0, 1], True)


def test_numbers_without_a_name(tmp_path: Path) -> None:
    assert read_labels(write(tmp_path, {"label": [1, -1, 0]}, label=NAMES), None).targets.tolist() == [1, -1, 0]
    for numbers in ([0, 1, 2], [0, -2, 1]):
        message = (
            f"expected a label of 0 to 1, which have names, or -1 for none, found {min(numbers)} to {max(numbers)}"
        )
        with pytest.raises(DataError, match=re.escape(message)):
            read_labels(write(tmp_path, {"label": numbers}, label=NAMES), None)


@pytest.mark.parametrize(
    "metadata",
    [b"", b"[]", b"{", b"{}", b'{"info": null}', b'{"info": {"features": [1]}}',
     b'{"info": {"features": {"label": 1}}}', b'{"info": {"features": {"label": {"names": 3}}}}',
     b"[" * 10**5, b"\xff"],
)  # fmt: skip
def test_other_metadata(metadata: bytes, tmp_path: Path) -> None:
    table = pa.table({"label": [1, 0]}).replace_schema_metadata({"huggingface": metadata})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_labels(str(tmp_path / "a.parquet"), None).classes == [0, 1]


CHOSEN: dict[str, tuple[list[str], list[str], str | None, str]] = {
    "usual": (["id", "class", "label"], [], None, "label"),
    "usual, as tables have it": (["text", "category"], [], None, "category"),
    "in another case": (["text", "Label"], [], None, "Label"),
    "given": (["label", "breed"], [], "breed", "breed"),
    "given in another case": (["label", "Breed"], [], "breed", "Breed"),
    "given in one of two cases": (["BREED", "breed", "label"], [], "breed", "breed"),
    "the only one with names": (["text", "breed"], ["breed"], None, "breed"),
    "usual before one with names": (["breed", "label"], ["breed"], None, "label"),
    "given of two with names": (["fine", "coarse"], ["fine", "coarse"], "coarse", "coarse"),
}


@pytest.mark.parametrize("name", CHOSEN)
def test_columns(name: str, tmp_path: Path) -> None:
    columns, named, wanted, chosen = CHOSEN[name]
    values = {column: [number, number] for number, column in enumerate(columns)}
    found = read_labels(write(tmp_path, values, **{column: list("abc") for column in named}), wanted)
    assert {found.classes[target] for target in found.targets} <= {values[chosen][0], "abc"[values[chosen][0]]}
    assert len(found.targets) == 2


REFUSED: list[tuple[dict[str, Any], list[str], str | None, str]] = [
    ({"fine": [0], "coarse": [0]}, ["fine", "coarse"], None,
     "expected one column of labels, found fine, coarse: choose one with --label-column"),
    ({"text": ["x"], "breed": [0]}, [], None,
     "expected a column one of label, labels, class, class_name, category, target, found text, breed: choose one with "
     "--label-column"),
    ({"label": [0]}, ["label"], "breed", "expected a column breed, found label: choose one with --label-column"),
    ({"label": [0.5]}, [], None, "expected label to be text or whole numbers, found double: cast it"),
    ({"label": [[0, 1]]}, [], None, "expected label to be text or whole numbers, found list<"),
    ({"breed": ["a", None]}, [], "breed", "row 1: expected a breed, found null: fill it in, or leave the row out"),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "named", "wanted", "message"), REFUSED)
def test_what_is_refused(
    columns: dict[str, Any], named: list[str], wanted: str | None, message: str, tmp_path: Path
) -> None:
    name = write(tmp_path, columns, **dict.fromkeys(named, NAMES))
    with pytest.raises(DataError, match=re.escape(message)):
        read_labels(name, wanted)

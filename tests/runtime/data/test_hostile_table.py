"""Tables of text that are damaged or made to do harm: the right rows, or one line."""

from pathlib import Path

import pytest

from runtime.data.labelled import open_labelled
from runtime.errors import DataError

from .trees import grow

PLAIN = "file,label\na/1.png,cat\na/2.png,dog\n"


def labels(root: Path, data: bytes, name: str = "labels.csv") -> list[str]:
    """The label of each image, as the table says."""
    grow(root, "a/1.png", "a/2.png")
    (root / name).write_bytes(data)
    source = open_labelled(root / name)
    return [source.labels[target] for target in source.targets()["train"]]


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.rstrip().encode(),
        PLAIN.replace("\n", "\n\n").encode(),
        PLAIN.replace(",", " , ").encode(),
        PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").encode(),
        b'"file","label"\n"a/1.png","cat"\n"a/2.png","dog"\n',
        b"label,other,file\ncat,,a/1.png\ndog,x,a/2.png\n",
        b"file,label\na\\1.png,cat\na\\2.png,dog\n",
    ],
)
def test_what_programs_write(data: bytes, tmp_path: Path) -> None:
    assert labels(tmp_path, data) == ["cat", "dog"]


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.encode("utf-16"),
        PLAIN.replace("cat", "chaté").encode("latin-1"),
        PLAIN.replace("\n", "\r").encode() + b"\0",
        b"file,file,label\na/1.png,a/2.png,cat\n",
        b"file,label\n" + b'"' * 10**6,
        b"file,label\n" + b"a/1.png," + b"x" * 10**7 + b"\n",
        b"," * 10**6,
        b"file,label\n" + b"../" * 10**5 + b"1.png,cat\n",
        b"file,label\nhttps://example.org/1.png,cat\n",
        b"file,label\n/dev/zero,cat\na/1.png,dog\n",
        b"file,label\na/1.png,cat\na/1.png,dog\n",
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40,
        b"PAR1" + bytes(1000),
    ],
    ids=range(13),
)
def test_what_is_no_table_is_said_in_a_line(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected ") as refused:
        labels(tmp_path, data)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 2000


@pytest.mark.parametrize(
    "line",
    [
        '{"file": ' * 10**4,
        '{"file": "a/1.png", "label": ' + "[" * 10**5,
        '{"file": "a/1.png", "label": ' + "9" * 10**4 + "}",
        '{"file": "a/1.png", "label": 1e999}',
        '{"file": "a/1.png", "label": NaN}',
        '{"file": "a/1.png", "label": {"name": "cat"}}',
        '{"file": ["a/1.png"], "label": "cat"}',
        '"a/1.png"',
        "null",
        '{"file": "a/1.png", "label": "\\ud800"}',
        '{"file": "a/1.png", "label": "cat"',
    ],
    ids=range(11),
)
def test_json_lines_that_are_none(line: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"labels.jsonl.*expected ") as refused:
        labels(tmp_path, line.encode(), "labels.jsonl")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 2000


def test_a_label_of_control_characters(tmp_path: Path) -> None:
    """It is a label as others; whoever prints it escapes it."""
    found = labels(tmp_path, b"file,label\na/1.png,\x1b[31mred\na/2.png,dog\n")
    assert found == ["\x1b[31mred", "dog"]

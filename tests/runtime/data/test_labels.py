"""Labels that are taken for one, in every way that labels come in; each is shown so that it can be told apart."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runtime.data.labelled import LabelledFiles, open_labelled
from runtime.data.labels import check_distinct
from runtime.errors import DataError

from .trees import KINDS, grow

MORE = "expected labels that differ in more than case, spaces or Unicode form, found "
REMEDY = ": write them alike to merge them, or rename one"
COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"

ALIKE = {
    "Unicode form": (COMPOSED, DECOMPOSED, r"'cafe\u0301' and 'caf\xe9'"),
    "case": ("Cat", "cat", "'Cat' and 'cat'"),
    "case of other letters": ("\u00c9clair", "\u00e9clair", "'\u00c9clair' and '\u00e9clair'"),
    "case and Unicode form": ("Caf\u00e9", DECOMPOSED, r"'Caf\xe9' and 'cafe\u0301'"),
    "full width": ("\uff23at", "Cat", r"'Cat' and '\uff23at'"),
    "a ligature": ("\ufb01sh", "fish", r"'fish' and '\ufb01sh'"),
    "a single letter's form": ("\u00c5", "A\u030a", r"'A\u030a' and '\xc5'"),
    "zero width": ("cat", "c\u200bat", r"'cat' and 'c\u200bat'"),
    "a byte order mark": ("cat", "\ufeffcat", r"'cat' and '\ufeffcat'"),
    "an emoji's variation": ("\u2764", "\u2764\ufe0f", r"'\u2764' and '\u2764\ufe0f'"),
    "no-break space": ("red cat", "red\u00a0cat", r"'red cat' and 'red\xa0cat'"),
    "space before": ("cat", " cat", "' cat' and 'cat'"),
    "space behind": ("cat", "cat ", "'cat' and 'cat '"),
    "two spaces": ("red cat", "red  cat", r"'red \x20cat' and 'red cat'"),
    "a tab": ("red cat", "red\tcat", r"'red\tcat' and 'red cat'"),
}


@pytest.mark.parametrize("name", ALIKE)
def test_labels_that_are_taken_for_one(name: str) -> None:
    one, other, shown = ALIKE[name]
    for labels in ((one, "dog", other), (other, "dog", one)):
        with pytest.raises(DataError) as caught:
            check_distinct("pets", {"train": labels})
        assert str(caught.value) == f"pets: {MORE}{shown} in train{REMEDY}"
        assert " ".join(str(caught.value).split()) == str(caught.value), "as the command line prints it"


@pytest.mark.parametrize(
    "labels",
    [
        ("a", "A"),  # handwriting
        ("redcat", "red cat"),
        ("Ma\u00dfe", "Masse"),  # two words of German
        ("cafe", COMPOSED),
        ("1", "01"),
        ("\U0001f3f4\U000e0067\U000e007f", "\U0001f3f4\U000e0077\U000e007f"),  # flags
    ],
)
def test_labels_that_can_be_told_apart(labels: tuple[str, ...]) -> None:
    check_distinct("pets", {"train": labels, "test": labels})


def test_places_and_other_pairs_are_named() -> None:
    with pytest.raises(DataError) as caught:
        check_distinct("pets", {"train": ["Cat", "Dog"], "test": ["Cat", "cat", "dog"]})
    assert str(caught.value) == f"pets: {MORE}'Cat' in train and 'cat' in test, and 1 more such pairs{REMEDY}"
    check_distinct("pets", {"train": ["Cat", "cat"]}, by_case=False)
    with pytest.raises(DataError, match=re.escape(r"'cafe\u0301' and 'caf\xe9' in train")):
        check_distinct("pets", {"train": [COMPOSED, DECOMPOSED]}, by_case=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["val", "test"])
def test_folders_of_two_parts(kind: str, part: str, tmp_path: Path) -> None:
    names = ["train/Cat/1.png", "train/dog/2.png", f"{part}/cat/3.png", f"{part}/dog/4.png"]
    tree = KINDS[kind](grow(tmp_path / "pets", *names))
    with pytest.raises(DataError, match="^" + re.escape(f"{tree.where}: {MORE}'Cat' in train and 'cat' in {part}:")):
        LabelledFiles(tree)


@pytest.mark.parametrize("kind", KINDS)
def test_folders_of_one_part(kind: str, tmp_path: Path) -> None:
    tree = KINDS[kind](grow(tmp_path / "pets", f"{COMPOSED}/1.png", f"{DECOMPOSED}/2.png"))
    with pytest.raises(DataError, match=re.escape(r"found 'cafe\u0301' and 'caf\xe9' in train")):
        LabelledFiles(tree)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.csv", f"file,label\n1.png,{COMPOSED}\n2.png,{DECOMPOSED}\n"),
        ("labels.tsv", f"file\tlabel\n1.png\t{COMPOSED}\n2.png\t{DECOMPOSED}\n"),
        ("labels.jsonl", "".join(json.dumps({"file": f"{number}.png", "label": label}) + "\n"
                                 for number, label in ((1, COMPOSED), (2, DECOMPOSED)))),
    ],
)  # fmt: skip
def test_tables(name: str, text: str, tmp_path: Path) -> None:
    grow(tmp_path / "pets", "1.png", "2.png", **{name: text})
    for given in (tmp_path / "pets", tmp_path / "pets" / name):
        with pytest.raises(DataError, match=re.escape(r"found 'cafe\u0301' and 'caf\xe9' in train")):
            open_labelled(given)


def test_rows_of_one_image(tmp_path: Path) -> None:
    text = f"file,label\n1.png,{COMPOSED}\n1.png,{DECOMPOSED}\n"
    grow(tmp_path, "1.png", "2.png", **{"labels.csv": text})
    with pytest.raises(DataError, match=re.escape(r"line 3: " + MORE + r"'cafe\u0301' and 'caf\xe9' in the rows of 1")):
        open_labelled(tmp_path)


def test_a_table_and_folders(tmp_path: Path) -> None:
    text = f"file,label\n{COMPOSED}/1.png,{DECOMPOSED}\ndog/2.png,dog\n"
    grow(tmp_path, f"{COMPOSED}/1.png", "dog/2.png", **{"labels.csv": text})
    with pytest.raises(DataError, match=re.escape(r"'cafe\u0301' in labels.csv and 'caf\xe9' in the folders")):
        open_labelled(tmp_path)


def test_parquet(tmp_path: Path) -> None:
    for name, labels in {"train": ["Cat", "dog"], "test": ["cat", "dog"]}.items():
        pq.write_table(pa.table({"image": [b"1", b"2"], "label": labels}), tmp_path / f"{name}.parquet")
    with pytest.raises(DataError, match=f"^{tmp_path}: {MORE}'Cat' in train.parquet and 'cat' in test.parquet"):
        open_labelled(tmp_path)
    (tmp_path / "test.parquet").unlink()
    pq.write_table(pa.table({"image": [b"1", b"2"], "label": ["cat", "cat "]}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"found 'cat' and 'cat ' in train\.parquet"):
        open_labelled(tmp_path)


@pytest.mark.parametrize(("names", "refused"), [(["Cat", "cat"], False), ([COMPOSED, DECOMPOSED], True)])
def test_names_that_parquet_lists_may_differ_in_case(names: list[str], refused: bool, tmp_path: Path) -> None:
    document = {"info": {"features": {"label": {"_type": "ClassLabel", "names": names}}}}
    table = pa.table({"image": [b"1", b"2"], "label": [0, 1]})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(document)}), tmp_path / "train.parquet")
    if refused:
        with pytest.raises(DataError, match=re.escape(r"found 'cafe\u0301' and 'caf\xe9' in train.parquet")):
            open_labelled(tmp_path)
    else:
        assert open_labelled(tmp_path).labels == tuple(names)

"""Trees of files: what is walked, what is hidden, and which folders kit wrote."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from runtime.data.tree import Folder, images_below, inside, is_hidden, is_output

from .trees import KINDS, grow


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_walked(kind: str, tmp_path: Path) -> None:
    root = grow(tmp_path / "photos", "b/2.png", "a/1.png", "a/c/3.png", "a/notes.txt", ".git/x.png", "a/.x.png")
    (root / "a" / "unnamed").write_bytes(b"\x89PNG\r\n\x1a\n")
    tree = KINDS[kind](root)
    assert tree.folders("") == ["a", "b"]
    walked = dict(tree.walk(""))
    assert walked == {"": [], "a": ["1.png", "notes.txt", "unnamed"], "a/c": ["3.png"], "b": ["2.png"]}
    assert sorted(images_below(tree, "")) == ["a/1.png", "a/c/3.png", "a/unnamed", "b/2.png"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("photos/a/1.png", "photos/b/1.png"), "photos"),
        (("photos/labels.csv", "photos/1.png"), "photos"),
        (("train/a/1.png", "train/b/1.png"), ""),
        (("photos/a/1.png", "1.png"), ""),
        (("a/1.png",), ""),
    ],
)
def test_one_repeated_folder_is_gone_into(kind: str, names: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    assert inside(KINDS[kind](grow(tmp_path / "root", *names)), "") == expected


@pytest.mark.parametrize(
    ("names", "own"),
    [
        (["model.safetensors", "history.csv"], True),
        (["model.safetensors", "history.csv", "curves.png", "notes.txt"], True),
        (["model.safetensors"], False),
        (["history.csv", "1.png"], False),
        ([], False),
        (["part-00000.parquet", "1.png"], False),
    ],
)
def test_a_run_is_known_by_its_files(names: list[str], own: bool) -> None:
    assert is_output(names, lambda _: b"") == own


@pytest.mark.parametrize(
    ("columns", "own"), [(("path", "row", "probability", "error"), True), (("image", "label"), False)]
)
def test_predictions_are_known_by_their_columns(columns: tuple[str, ...], own: bool, tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "any"
    folder.mkdir(parents=True)
    pyarrow.parquet.write_table(pa.table({name: ["x"] for name in columns}), folder / "part-00000.parquet")
    tree = Folder(tmp_path / "photos")
    assert tree.folders("") == ([] if own else ["any"])
    assert tree.outputs == (["any"] if own else [])


@pytest.mark.parametrize(("name", "hidden"), [(".git", True), ("__MACOSX", True), ("a", False), ("__a", False)])
def test_what_is_hidden(name: str, hidden: bool) -> None:
    assert is_hidden(name) == hidden

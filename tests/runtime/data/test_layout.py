"""Every layout of docs/data.md, as a folder and in archives: read rightly, or refused with what it was found to be."""

import io
import re
from pathlib import Path

import pytest
from PIL import Image

from runtime.data.layout import find_parts
from runtime.data.parts import Parts
from runtime.data.table import Columns
from runtime.data.tree import images_below
from runtime.errors import DataError

from .trees import KINDS, grow

ALL = {"train": {"a": ["1"], "b": ["2"]}, "val": {"a": ["3"], "b": ["4"]}, "test": {"a": ["5"], "b": ["6"]}}
TWO = {"train": ALL["train"], "test": ALL["test"]}
CSV = "file_name,label\n{}"


def parts(train: str, val: str, test: str, above: str = "") -> list[str]:
    """Two classes of an image in each part."""
    names = zip((train, val, test), ("12", "34", "56"), strict=True)
    return [f"{above}{part}/{label}/{n}.png" for part, ns in names if part for label, n in zip("ab", ns, strict=True)]


def stems(found: Parts) -> dict[str, dict[str, list[str]]]:
    return {
        part: {label: [Path(name).stem for name in names] for label, names in classes.items()}
        for part, classes in found.items()
    }


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


READ: dict[str, tuple[list[str], dict[str, str], object]] = {
    "classes": (["a/1.png", "b/2.png"], {}, {"train": ALL["train"]}),
    "Ultralytics": (parts("train", "val", "test"), {}, ALL),
    "Roboflow": (
        [*parts("train", "valid", "test"), "README.roboflow.txt", "README.dataset.txt"], {}, ALL,
    ),
    "Kaggle, training and validation": (
        parts("training", "validation", ""), {}, {"train": ALL["train"], "val": ALL["val"]},
    ),
    "Kaggle, training_set and test_set": (parts("training_set", "", "test_set"), {}, TWO),
    "Kaggle, repeated": (
        parts("training_set/training_set", "", "test_set/test_set"), {}, TWO,
    ),
    "Intel": (
        [*parts("seg_train/seg_train", "", "seg_test/seg_test"), "seg_pred/seg_pred/7.jpg"], {}, TWO,
    ),
    "Fruits-360": (
        [*parts("Training", "", "Test", "fruits-360/"), "fruits-360/test-multiple_fruits/9.jpg", "fruits-360/LICENSE"],
        {}, TWO,
    ),
    "another case": (parts("TRAIN", "Valid", "Test"), {}, ALL),
    "a folder around it": (parts("train", "val", "test", "photos/"), {}, ALL),
    "a folder around classes": (["photos/a/1.png", "photos/b/2.png"], {}, {"train": ALL["train"]}),
    "test images without labels": (
        [*parts("train", "", ""), "test/9.png"], {}, {"train": ALL["train"]},
    ),
    "train alone": (parts("train", "", ""), {}, {"train": ALL["train"]}),
    "test alone": (parts("", "", "test"), {}, {"test": ALL["test"]}),
    "folders in classes": (["a/deep/er/1.png", "b/2.png"], {}, {"train": ALL["train"]}),
    "Teachable Machine": (["a-!-1.png", "b-!-2.png", "manifest.json"], {}, {"train": {"a": ["a-!-1"], "b": ["b-!-2"]}}),
    "labels.csv": (["1.png", "2.png"], {"labels.csv": CSV.format("1.png,a\n2.png,b\n")}, {"train": ALL["train"]}),
    "labels.csv, images in a folder": (
        ["images/1.png", "images/2.png"], {"labels.csv": CSV.format("1.png,a\n2.png,b\n")}, {"train": ALL["train"]},
    ),
    "labels.csv with a split": (
        ["1.png", "5.png"], {"labels.csv": "image,class,split\n1.png,a,train\n5.png,a,Test\n"},
        {"train": {"a": ["1"]}, "test": {"a": ["5"]}},
    ),
    "labels.tsv": (["1.png", "2.png"], {"labels.tsv": "path\tlabel\n1.png\ta\n2.png\tb\n"}, {"train": ALL["train"]}),
    "semicolons": (["1.png", "2.png"], {"labels.csv": "path;label\n1.png;a\n2.png;b\n"}, {"train": ALL["train"]}),
    "without a header": (["1.png", "2.png"], {"labels.csv": "1.png,a\n2.png,b\n"}, {"train": ALL["train"]}),
    "JSON lines": (
        ["1.png", "2.png"],
        {"metadata.jsonl": '{"file_name": "1.png", "label": "a"}\n\n{"file_name": "2.png", "label": "b"}\n'},
        {"train": ALL["train"]},
    ),
    "Hugging Face": (
        ["train/1.png", "train/2.png", "test/5.png", "test/6.png"],
        {"train/metadata.csv": CSV.format("1.png,a\n2.png,b\n"), "test/metadata.csv": CSV.format("5.png,a\n6.png,b\n")},
        TWO,
    ),
    "Kaggle, train.csv and images by id": (
        ["train/1.png", "train/2.png", "test/1.png", "test/2.png"], {"train.csv": "id,label\n1,a\n2,b\n"},
        {"train": ALL["train"]},
    ),
    "train_labels.csv": (
        ["train/1.png", "train/2.png", "test/5.png"], {"train_labels.csv": "id,label\n1,a\n2,b\n"},
        {"train": ALL["train"]},
    ),
    "numbers as labels": (
        ["1.png", "2.png", "3.png"], {"labels.csv": CSV.format("1.png,10\n2.png,9\n3.png,-1\n")},
        {"train": {"-1": ["3"], "9": ["2"], "10": ["1"]}},
    ),
    "folders and a table that agree": (
        ["a/1.png", "b/2.png"], {"labels.csv": CSV.format("a/1.png,a\nb/2.png,b\n")}, {"train": ALL["train"]},
    ),
    "folders and a table of something else": (
        ["a/1.png", "b/2.png"], {"labels.csv": "label,meaning\na,first\nb,second\n"}, {"train": ALL["train"]},
    ),
    "hidden": (
        ["a/1.png", "b/2.png", ".c/3.png", "a/.4.png", "__MACOSX/.5.png"], {}, {"train": ALL["train"]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_layouts(name: str, kind: str, tmp_path: Path) -> None:
    names, texts, expected = READ[name]
    tree = KINDS[kind](grow(tmp_path / "photos", *names, **texts))
    assert stems(find_parts(tree, Columns())) == expected
    found = find_parts(tree, Columns())
    assert list(found) == [part for part in ("train", "val", "test") if part in found]


REFUSED = {
    "YOLO": (
        ["train/images/1.png", "train/labels/1.txt"], {},
        "/train: expected one label for each image, found images and labels (detection, YOLO): export the "
        "data set for classification",
    ),
    "YOLO, the other way round": (
        ["images/train/1.png", "labels/train/1.txt"], {},
        ": expected one label for each image, found images and labels (detection, YOLO)",
    ),
    "COCO": (
        ["train/1.png", "train/_annotations.coco.json"], {},
        "/train: expected one label for each image, found _annotations.coco.json (detection, COCO)",
    ),
    "VOC": (
        ["Annotations/1.xml", "JPEGImages/1.jpg"], {},
        ": expected one label for each image, found annotations and jpegimages (detection, Pascal VOC)",
    ),
    "several labels": (
        ["train/1.png", "train/_classes.csv"], {},
        "/train: expected one label for each image, found _classes.csv (several labels an image)",
    ),
    "a class called train": (
        ["train/1.png", "plane/2.png"], {},
        ": expected one reading, found two: train as parts of the data set, without plane; or all of these "
        "as classes: rename train, or move plane out",
    ),
    "classes beside train": (
        [*parts("train", "", ""), "c/7.png"], {},
        ": expected one reading, found two: train as parts of the data set, without c; or all of these as "
        "classes: rename train, or move c out",
    ),
    "two validation folders": (
        [*parts("train", "val", ""), *parts("", "valid", "")], {},
        ": expected one folder of val images, found val and valid: merge them",
    ),
    "folders and a table that disagree": (
        ["a/1.png", "b/2.png"], {"labels.csv": CSV.format("a/1.png,b\nb/2.png,a\n")},
        ": expected one reading, found two: a/1.png is train b in labels.csv, and train a by its folder: leave ",
    ),
    "flat parts": (
        ["train/1.png", "test/2.png"], {},
        "/test: expected a folder for each class, found images directly in it",
    ),
    "nothing": (["notes.txt"], {}, ": expected a folder for each class, found none"),
    "images alone": (["1.png"], {}, ": expected a folder for each class, found images directly in it"),
    "a table that names no column": (
        ["1.png"], {"labels.csv": "one,two\n1.png,a\n"},
        "/labels.csv: expected a column one of file_name, ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, kind: str, tmp_path: Path) -> None:
    names, texts, message = REFUSED[name]
    tree = KINDS[kind](grow(tmp_path / "photos", *names, **texts))
    with pytest.raises(DataError, match="^" + re.escape(tree.where + message)):
        find_parts(tree, Columns())


def test_the_remedies_work(tmp_path: Path) -> None:
    root = grow(tmp_path / "photos", "train/1.png", "plane/2.png")
    (root / "train").rename(root / "trains")
    assert list(find_parts(KINDS["folder"](root), Columns())["train"]) == ["plane", "trains"]
    root = grow(tmp_path / "two", "a/1.png", "b/2.png", **{"labels.csv": CSV.format("a/1.png,b\nb/2.png,a\n")})
    assert stems(find_parts(KINDS["folder"](root), Columns(), "labels.csv")) == {"train": {"a": ["2"], "b": ["1"]}}
    root = grow(tmp_path / "named", "1.png", "2.png", **{"labels.csv": "one,two\n1.png,a\n2.png,b\n"})
    assert stems(find_parts(KINDS["folder"](root), Columns("one", "two"))) == {"train": ALL["train"]}


def test_what_is_left_out_is_counted(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [*parts("seg_train", "", "seg_test"), "seg_pred/7.jpg", "seg_pred/8.jpg", "9.png"]
    tree = KINDS[kind](grow(tmp_path / "photos", *names))
    find_parts(tree, Columns())
    assert capsys.readouterr().err == (
        f"{tree.where}: 3 images are of no class, and are left out: 1 in the folder itself, 2 in seg_pred\n"
    )


def test_what_kit_wrote_is_left_out(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["model.safetensors", "history.csv", "curves.png", "report.json"]
    names = ["a/1.png", "b/2.png", *(f"{folder}/{name}" for folder in ("out", "runs/photos") for name in run)]
    tree = KINDS[kind](grow(tmp_path / "photos", *names))
    assert stems(find_parts(tree, Columns())) == {"train": ALL["train"]}
    assert capsys.readouterr().err.splitlines() == [
        f"{tree.where}: out is left out: kit wrote it",
        f"{tree.where}: runs/photos is left out: kit wrote it",
    ]


def test_images_are_told_by_their_content(kind: str, tmp_path: Path) -> None:
    root = grow(
        tmp_path / "photos", "a/1.jfif", "a/2.PGM", "b/3.heic", "a/.4.png", "a/notes.txt", "b/readme", "b/5.dat"
    )
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "PNG")
    for name in ("a/6", "b/7.bin", "b/.8"):
        (root / name).write_bytes(file.getvalue())
    (root / "a" / "notes.txt").write_text("words")
    tree = KINDS[kind](root)
    assert stems(find_parts(tree, Columns())) == {"train": {"a": ["1", "2", "6"], "b": ["3", "7"]}}
    assert sorted(name for name in images_below(tree, "")) == ["a/1.jfif", "a/2.PGM", "a/6", "b/3.heic", "b/7.bin"]
    assert not tree.is_image("b/5.dat")

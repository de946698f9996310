"""Folders of images: what is read, how it is split, and what each bad folder answers."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from runtime import InputError
from runtime.data.parts import LAYOUT
from runtime.image import ImageContract
from tests.interpreter import run_python
from trainer import DataError, Dataset, load_data
from trainer.data.mapped import MappedImages

CONTRACT = ImageContract(height=8, width=8, color="RGB")
EMPTY = "expected an image file (PNG, JPEG, …), found nothing (0 bytes)"


def fill(folder: Path, *names: str) -> Path:
    """Put a different image under each name; a folder where a name ends in "/"; an empty file where it has "bad"."""
    for name in names:
        path = folder / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if "bad" in name:
            path.touch()
        elif not name.endswith("/"):
            size = 3 + sum(os.fsencode(name)) % 9
            pixels = np.random.default_rng(list(os.fsencode(name))).integers(0, 256, (size, 7, 3), np.uint8)
            Image.fromarray(pixels).save(path)
    return folder


def numbered(label: str, count: int) -> list[str]:
    return [f"{label}/{number:03}.png" for number in range(count)]


def load(root: Path, seed: int = 0) -> Dataset:
    return load_data(root, image_size=8, seed=seed)


def pixels(root: Path, names: list[str]) -> NDArray[np.uint8]:
    return np.stack([CONTRACT.pixels(root / name) for name in names])


def same(one: Dataset, other: Dataset) -> bool:
    return one.labels == other.labels and all(
        torch.equal(a.images[:], b.images[:]) and torch.equal(a.targets, b.targets)
        for a, b in ((one.train, other.train), (one.test, other.test))
    )


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Classes of 10, 15 and 20 images and no test folder."""
    return fill(tmp_path / "flat", *numbered("red", 10), *numbered("green", 15), *numbered("blue", 20))


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    """Two classes of 3 training and 2 test images."""
    names = [*numbered("train/a", 3), *numbered("train/b", 3), *numbered("test/a", 2), *numbered("test/b", 2)]
    return fill(tmp_path / "halves", *names)


def test_train_and_test_folders(halves: Path) -> None:
    data = load(halves)
    assert (data.name, data.labels, data.contract) == ("halves", ("a", "b"), CONTRACT)
    assert (data.train.images.dtype, data.train.targets.dtype) == (torch.uint8, torch.int64)
    for part, split, count in (("train", data.train, 3), ("test", data.test, 2)):
        names = numbered(f"{part}/a", count) + numbered(f"{part}/b", count)
        np.testing.assert_array_equal(split.images.numpy(), pixels(halves, names))
        assert split.targets.tolist() == [0] * count + [1] * count


def test_train_and_test_are_neighbours_in_the_cache_not_copies(halves: Path, cache: Path) -> None:
    data = load(halves)
    assert isinstance(data.train.images, MappedImages)
    (first, second) = (split.images[:1].numpy().tobytes() for split in (data.train, data.test))
    (kept,) = (path.read_bytes() for path in cache.glob("*.npy"))
    assert kept.index(second) == kept.index(first) + data.train.images.nbytes


def test_a_fifth_of_each_class_is_held_out(flat: Path) -> None:
    data = load(flat)
    assert data.labels == ("blue", "green", "red")
    assert torch.bincount(data.train.targets).tolist() == [16, 12, 8]
    assert torch.bincount(data.test.targets).tolist() == [4, 3, 2]
    for target, (label, count) in enumerate([("blue", 20), ("green", 15), ("red", 10)]):
        parts = [split.images[split.targets == target].numpy() for split in (data.train, data.test)]
        assert sorted(map(bytes, np.concatenate(parts))) == sorted(map(bytes, pixels(flat, numbered(label, count))))


def test_a_train_folder_alone_is_split(flat: Path, tmp_path: Path) -> None:
    whole = load(flat)
    (tmp_path / "again").mkdir()
    flat.rename(tmp_path / "again" / "train")
    assert same(load(tmp_path / "again"), whole)


def test_the_seed_chooses_the_split(flat: Path) -> None:
    first = load(flat, seed=3)
    assert same(load(flat, seed=3), first)
    assert not same(load(flat, seed=4), first)


@pytest.mark.spawns
def test_the_second_run_decodes_nothing_and_warns_of_nothing(halves: Path) -> None:
    """In a fresh interpreter, for torch warns once only."""
    first = load(halves)
    code = """
from pathlib import Path
from trainer import load_data
from runtime.data import decode
decode.decode = None
data = load_data(Path(sys.argv[1]), image_size=8)
print(data.train.images.numpy().sum(), data.test.images.numpy().sum())
"""
    result = run_python(code, halves)
    assert result.stderr == ""
    assert result.stdout == f"{first.train.images.numpy().sum()} {first.test.images.numpy().sum()}\n"


def test_settings(halves: Path, cache: Path) -> None:
    calls: list[tuple[int, int]] = []
    data = load_data(halves, image_size=5, color="L", progress=lambda *call: calls.append(call))
    assert data.contract == ImageContract(height=5, width=5, color="L")
    assert len(list(cache.glob("*.npy"))) == 1
    assert calls == [(10, 10)]
    with pytest.raises(InputError, match="image side of 1 to 16,384 pixels, found 0"):
        load_data(halves, image_size=0)


def test_which_files_are_read(tmp_path: Path) -> None:
    images = ["a/1.JPG", "a/2.jpeg", "a/3.Png", "a/deep/er/4.bmp", "b/5.webp", "b/6.gif", "b/7.tif", "b/8.TIFF"]
    ignored = ["bad.png", "train/bad.png", "train/a/bad.txt", "train/a/bad", "train/a/.bad.png", "train/b/.bad/1.png"]
    root = fill(tmp_path / "root", *[f"train/{name}" for name in images], "test/a/1.png", "test/b/1.png")
    fill(root, *ignored, ".bad/1.png", "train/.bad/1.png", "train/b/.png.bad/1.txt")
    data = load(root)
    np.testing.assert_array_equal(data.train.images.numpy(), pixels(root, [f"train/{name}" for name in images]))
    assert data.train.targets.tolist() == [0] * 4 + [1] * 4


def test_the_order_does_not_depend_on_the_file_system(halves: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, walk, iterdir = load(halves), os.walk, Path.iterdir

    def backwards(*args: Any, **settings: Any) -> object:
        return ((top, folders, sorted(files, reverse=True)) for top, folders, files in walk(*args, **settings))

    monkeypatch.setattr(os, "walk", backwards)
    monkeypatch.setattr(Path, "iterdir", lambda path: sorted(iterdir(path), reverse=True))
    monkeypatch.setenv("KIT_CACHE_DIR", str(halves.parent / "other"))
    assert same(load(halves), first)


def test_links_to_classes_and_files_are_followed_but_not_in_circles(flat: Path, tmp_path: Path) -> None:
    plain = load(flat)
    linked = fill(tmp_path / "linked", "elsewhere/")
    (flat / "red" / "000.png").rename(tmp_path / "outside.png")
    (flat / "red" / "000.png").symlink_to(tmp_path / "outside.png")
    (flat / "red" / "round").symlink_to(flat)
    (flat / "red" / "round.png").symlink_to(flat)
    (linked / "elsewhere").rmdir()
    for name, target in (("self", linked), ("up", tmp_path), ("endless", linked / "endless")):
        (linked / name).symlink_to(target)
    for label in plain.labels:
        (linked / label).symlink_to(flat / label)
    assert same(load(linked), plain)


def test_validation_images_are_a_part_of_their_own(halves: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = load(halves)
    data = load(fill(halves, "valid/a/1.png", "valid/a/2.png", "valid/b/1.png"))
    assert same(data, plain)
    assert data.val
    np.testing.assert_array_equal(
        data.val.images.numpy(), pixels(halves, ["valid/a/1.png", "valid/a/2.png", "valid/b/1.png"])
    )
    assert data.val.targets.tolist() == [0, 0, 1]
    assert capsys.readouterr().err == ""


def test_where_there_are_validation_images_alone_the_test_images_are_held_out(flat: Path, tmp_path: Path) -> None:
    whole = load(flat)
    (tmp_path / "again").mkdir()
    flat.rename(tmp_path / "again" / "train")
    data = load(fill(tmp_path / "again", *[f"val/{label}/1.png" for label in whole.labels]))
    assert same(data, whole)
    assert data.val
    assert len(data.val) == 3


@pytest.mark.parametrize(("inside", "path"), [("", "."), ("red", ".."), ("red", "../../flat")])
def test_the_name_is_the_folders(flat: Path, inside: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(flat / inside)
    assert load(Path(path)).name == "flat"


@pytest.mark.spawns
def test_unreadable_images_are_named_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = fill(tmp_path / "root", "train/a/000.png", "train/b/000.png", "test/a/1.png", "test/b/1.png")
    for name in [*numbered("train/a", 400)[1:], *numbered("train/b", 400)[1:]]:
        (root / name).hardlink_to(root / name.replace(name[-7:-4], "000"))
    fill(root, *[f"train/a/bad{number}.png" for number in range(7)])
    for _ in range(2):
        data = load(root)
        assert torch.bincount(data.train.targets).tolist() == [400, 400]
        np.testing.assert_array_equal(data.test.images.numpy(), pixels(root, ["test/a/1.png", "test/b/1.png"]))
        assert capsys.readouterr().err.splitlines() == [
            "root: left out 7 of 809 images, which cannot be read:",
            *[f"  train/a/bad{number}.png: {EMPTY}" for number in range(7)],
        ]


def test_a_class_of_unreadable_images_alone(tmp_path: Path) -> None:
    root = fill(tmp_path / "root", *numbered("train/a", 120), "train/b/bad.png", "test/a/1.png", "test/b/1.png")
    expected = "expected 1 or more readable training images of each class"
    message = f"{root}: {expected}, found 0 of b: add 1, or leave the class out"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        load(root)


TWO = "expected 2 or more readable training images of each class"
NAMES, CLASS = "a/1.png a/2.png b/1.png b/2.png", "expected a folder for each class"
ONE_EACH = "train/a/1.png train/b/1.png test/a/1.png test/b/1.png"
BAD = [
    (".hidden/ notes.bad", "", f": {CLASS}, found none: {LAYOUT}"),
    ("1.png 2.jpg x.bad", "", f": {CLASS}, found images directly in it: {LAYOUT}"),
    ("a/1.png a/2.png", "", ": expected at least 2 classes, found only a: add others"),
    ("train/1.png", "", f"/train: {CLASS}, found images directly in it: {LAYOUT}"),
    ("train/1.png test/1.png", "", f"/test: {CLASS}, found images directly in it: {LAYOUT}"),
    ("train/ test/", "", f": {TWO}, found 0 of test, 0 of train: add 4, or leave the classes out"),
    ("train/a/1.png train/b/1.png test/", "", f": {TWO}, found 1 of a, 1 of b: add 2, or leave the classes out"),
    ("train/a/1.png test/a/1.png", "", ": expected at least 2 classes, found only a: add others"),
    ("test/a/1.png test/b/1.png", "", ": expected training images, found test alone: add a folder train"),
    (f"{NAMES} c/", "", f": {TWO}, found 0 of c: add 2, or leave the class out"),
    (f"{NAMES} c/x.bad", "", f": {TWO}, found 0 of c: add 2, or leave the class out"),
    (f"{NAMES} c/1.png d/", "", f": {TWO}, found 1 of c, 0 of d: add 3, or leave the classes out"),
    (
        f"{ONE_EACH} train/c/ test/c/1.png", "",
        ": expected 1 or more readable training images of each class, found 0 of c: add 1, or leave the class out",
    ),
    (
        f"{ONE_EACH} train/c/1.png test/d/1.png test/e/1.png", "",
        ": expected test images of the training images' classes, found others: d, e: rename or remove them",
    ),
    (f"{NAMES} \udce9/1.png", "", r": expected class folders named in UTF-8, found '\udce9': rename it"),
    (
        "a/1.png a/2.png b/1.png b/bad.png", "",
        ": expected at most 1% of the images to be unreadable, found 1 of 4, the first of them b/bad.png "
        f"({EMPTY}): replace or remove them, or allow more with --max-unreadable of kit train and kit evaluate",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("names", "path", "message"), BAD, ids=range(len(BAD)))
def test_bad_folders(tmp_path: Path, names: str, path: str, message: str) -> None:
    root = fill(tmp_path / "root", "./", *names.split())
    with pytest.raises(DataError) as caught:
        load(Path(f"{root}{path}"))
    assert str(caught.value) == f"{root}{message}"


@pytest.mark.parametrize("closed", ["root", "a"])
def test_a_folder_that_may_not_be_listed(tmp_path: Path, closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user root may list any folder, so the system's answer is feigned."""
    root = fill(tmp_path / "root", *numbered("a", 5), *numbered("b", 5))
    listdir, scandir = os.listdir, os.scandir

    def refusing(call: Callable[[object], object]) -> Callable[[object], object]:
        def answer(path: object) -> object:
            if Path(str(path)).name == closed:
                raise PermissionError(13, "Permission denied", str(path))
            return call(path)

        return answer

    monkeypatch.setattr(os, "listdir", refusing(listdir))  # type: ignore[arg-type]
    monkeypatch.setattr(os, "scandir", refusing(scandir))  # type: ignore[arg-type]
    path = root if closed == "root" else root / "a"
    message = f"{path}: expected a folder of images, found: Permission denied: {LAYOUT}"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        load(root)


@pytest.mark.parametrize("each", [2, 4])
def test_two_images_of_each_class_are_enough(tmp_path: Path, each: int) -> None:
    root = fill(tmp_path / "root", *[name for label in "abcde" for name in numbered(label, each)])
    data = load(root)
    assert data.test.targets.tolist() == [0, 1, 2, 3, 4]
    assert torch.bincount(data.train.targets).tolist() == [each - 1] * 5


def test_the_cache_that_cannot_be_written(halves: Path, cache: Path) -> None:
    cache.touch()
    with pytest.raises(DataError, match=rf"^{cache}/\w+\.npy: expected a place to write to, .* KIT_CACHE_DIR$"):
        load(halves)

"""`runtime.classify`: what it keeps open, and what it does when files change."""

import gc
import os
import shutil
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import runtime
from runtime import ArtefactError, Classifier
from runtime.image import Pixels
from tests.runtime.given import change


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[Classifier]]:
    """The classifiers that `runtime.classify` opens from here on."""
    found: list[weakref.ref[Classifier]] = []

    def open_content(*arguments: Any) -> Classifier:
        classifier = runtime.loading.open_content(*arguments)
        found.append(weakref.ref(classifier))
        return classifier

    monkeypatch.setattr("runtime.opened.open_content", open_content)
    return found


@pytest.fixture
def path(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(model, tmp_path / "m.onnx"))


@pytest.fixture
def other(model: Path, tmp_path: Path) -> bytes:
    """An artefact of the same size that predicts other labels."""

    def edit(proto: onnx.ModelProto) -> None:
        bias = next(tensor for tensor in proto.graph.initializer if tensor.name == "bias")
        values = numpy_helper.to_array(bias).copy()
        values[3] += 100
        bias.CopyFrom(numpy_helper.from_array(values, "bias"))

    return change(model, tmp_path / "other.onnx", edit).read_bytes()


def test_a_file_is_opened_once_and_again_when_it_changes(
    path: Path, other: bytes, opened: list[Any], images: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    first = runtime.classify(images[0], model="m.onnx")
    assert runtime.classify(images[0], model=path, top_k=2).label == first.label
    os.utime(path, ns=(1, 1))
    assert runtime.classify(images[0], model=path) == first
    assert len(opened) == 1
    path.write_bytes(other)
    assert runtime.classify(images[0], model=path).label == "3"
    assert len(opened) == 2
    path.unlink()
    with pytest.raises(ArtefactError, match="No such file"):
        runtime.classify(images[0], model=path)


def test_a_change_that_keeps_size_time_and_inode(path: Path, other: bytes, images: Pixels) -> None:
    for _ in range(3):
        before, content = path.stat(), path.read_bytes()
        assert runtime.classify(images[0], model=path) == runtime.load(content).classify(images[0])
        with path.open("r+b") as file:
            file.write(other)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        after = path.stat()
        assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
        assert runtime.classify(images[0], model=path).label == "3"
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_the_16_used_last_stay_open(path: Path, opened: list[Any], images: Pixels) -> None:
    names = [path.with_name(f"{number}.onnx") for number in range(20)]
    for name in names:
        os.link(path, name)
        runtime.classify(images[0], model=name)
        runtime.classify(images[0], model=names[0])
    gc.collect()
    assert sum(reference() is not None for reference in opened) == 16
    assert len(opened) == 20
    for name in (names[0], *names[5:]):
        runtime.classify(images[0], model=name)
    assert len(opened) == 20
    runtime.classify(images[0], model=names[1])
    assert len(opened) == 21


def test_many_names_in_many_threads(path: Path, images: Pixels) -> None:
    expected = runtime.classify(images[0], model=path)
    names = [path.with_name(f"{number}.onnx") for number in range(30)]
    for name in names:
        os.link(path, name)
    with ThreadPoolExecutor(4) as pool:
        assert all(
            found == expected for found in pool.map(lambda name: runtime.classify(images[0], model=name), names * 5)
        )


def test_the_content_in_place_of_a_path(model: Path, other: bytes, opened: list[Any], images: Pixels) -> None:
    data = model.read_bytes()
    forms: list[Any] = [data, bytearray(data), bytes(bytearray(data))]
    for form in forms:
        assert runtime.classify(images[0], model=form) == runtime.load(model).classify(images[0])
    assert len(opened) == 1
    assert runtime.classify(images[0], model=other).label == "3"
    with pytest.raises(
        ArtefactError, match=r"^these bytes: expected an artefact made by `kit export`, found b'm.onnx'"
    ):
        runtime.classify(images[0], model=b"m.onnx")
    with pytest.raises(ArtefactError, match=r"^these bytes: expected"):
        runtime.classify(images[0], model=data[:-1])
    with pytest.raises(ArtefactError, match="expected the path or the bytes of an artefact, found NoneType"):
        runtime.classify(images[0], model=None)  # type: ignore[arg-type]


def test_a_file_that_is_overwritten(path: Path, other: bytes, images: Pixels) -> None:
    """As `cp` does it: the last artefact goes on, with one warning, until the new one is whole."""
    first = runtime.classify(images[0], model=path)
    with path.open("wb") as file, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for at in range(0, len(other), len(other) // 7):
            assert runtime.classify(images[0], model=path) == first
            assert runtime.classify(images[0], model=path) == first
            file.write(other[at : at + len(other) // 7])
            file.flush()
        assert runtime.classify(images[0], model=path).label == "3"
    assert [(warning.category, warning.filename) for warning in caught] == [(RuntimeWarning, __file__)]
    assert str(caught[0].message).startswith(f"{path}: expected an artefact made by `kit export`")
    path.write_bytes(b"damaged again")
    with pytest.warns(
        RuntimeWarning, match=r"m\.onnx: expected .*: until then, the artefact that was here before answers"
    ):
        assert runtime.classify(images[0], model=path).label == "3"


@pytest.mark.parametrize("left", ["a folder", "too new", "nothing in it"])
def test_other_things_in_place_of_an_artefact(left: str, path: Path, images: Pixels, other: bytes) -> None:
    first = runtime.classify(images[0], model=path)
    path.unlink()
    if left == "a folder":
        path.mkdir()
    else:
        path.write_bytes(b"" if left == "nothing in it" else onnx.ModelProto(ir_version=99).SerializeToString())
    with pytest.warns(RuntimeWarning, match="answers"):
        assert runtime.classify(images[0], model=path) == first
    assert runtime.classify(images[0], model=path) == first
    path.rmdir() if left == "a folder" else path.unlink()
    path.write_bytes(other)
    assert runtime.classify(images[0], model=path).label == "3"


def test_a_file_that_is_damaged_from_the_start(path: Path, images: Pixels) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    for _ in range(2):
        with pytest.raises(ArtefactError, match=r"m\.onnx: expected"):
            runtime.classify(images[0], model=path)
    path.write_bytes(content)
    assert runtime.classify(images[0], model=path) == runtime.load(content).classify(images[0])


def test_a_warning_that_is_an_error(path: Path, images: Pixels) -> None:
    first = runtime.classify(images[0], model=path)
    path.write_bytes(b"")
    with pytest.raises(RuntimeWarning):
        runtime.classify(images[0], model=path)
    assert runtime.classify(np.asarray(images[0]), model=path) == first

"""Links, pipes and devices where files are read and where they are written."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime import KitError
from runtime.files import write_atomic
from tests.backends import NUMPY
from tests.interpreter import Kit
from trainer import DataError, load_data

from .command_lines import snapshot
from .conftest import photos


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two classes of 10 images, and a folder elsewhere."""
    photos(tmp_path / "data")
    photos(tmp_path / "elsewhere", ("day", "dusk"), each=3)
    return tmp_path / "data"


ODD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "dangling": (lambda path: path.symlink_to("nowhere"), "No such file or directory"),
    "loop": (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
    "zero": (lambda path: path.symlink_to("/dev/zero"), "expected an image file, found a device or a pipe"),
    "random": (lambda path: path.symlink_to("/dev/urandom"), "expected an image file, found a device or a pipe"),
    "pipe": (os.mkfifo, "expected an image file, found a device or a pipe"),
    "folder": (lambda path: path.symlink_to("/etc"), ""),
}


@pytest.mark.parametrize("kind", ODD_FILES)
def test_an_image_that_is_no_file(kind: str, data: Path, model: Path, run_kit: Kit) -> None:
    """Training counts it as unreadable, a link to a folder not at all; `kit classify` leaves it out of a folder."""
    make, reason = ODD_FILES[kind]
    make(data / "day" / "odd.png")
    if reason:
        with pytest.raises(DataError, match=f"found 1 of 21, the first of them day/odd.png .*{reason}"):
            load_data(data)
        alone = run_kit("classify", data / "day" / "odd.png", "--model", model)
        assert (alone.exit_code, reason in alone.stderr) == (1, True)
    else:
        assert len(load_data(data).train) == 16
    assert len(run_kit("classify", data, "--model", model).stdout.splitlines()) == 20


def test_class_folders_that_are_links(data: Path, tmp_path: Path) -> None:
    """A class folder may be a link, but not one that leads back up; within a class links to folders are left out."""
    (data / "dusk").symlink_to(tmp_path / "elsewhere" / "dusk")
    for name, target in (("loop", "loop"), ("up", ".."), ("root", "/"), ("dangling", "nowhere")):
        (data / name).symlink_to(target)
    (data / "day" / "more").symlink_to(tmp_path / "elsewhere" / "day")
    found = load_data(data)
    assert found.labels == ("day", "dusk", "night")
    assert len(found.train) + len(found.test) == 23


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "zero"])
def test_other_inputs_that_never_end(make: Callable[[Path], object], run_kit: Kit, tmp_path: Path) -> None:
    (tmp_path / "runs" / "few").mkdir(parents=True)
    make(tmp_path / "runs" / "few" / "model.safetensors")
    for arguments in (
        ["export", "runs/few"],
        ["export"],
        ["train", "--data", "digits", "--epochs", "1", "--no-report", "--out", "runs/few", "--resume"],
        ["inspect", "runs/few/model.safetensors"],
        ["selftest", "runs/few/model.safetensors"],
        ["bench", "runs/few/model.safetensors"],
        ["evaluate", "--model", "runs/few/model.safetensors", "--data", "digits"],
    ):
        result = run_kit(*arguments)
        complaints = [line for line in result.stderr.splitlines() if line.startswith("kit: ")]
        assert (result.exit_code, len(complaints)) == (1, 1), arguments
        assert "a device" in complaints[0]


def test_an_output_that_is_a_link(run_kit: Kit, good: Path, tmp_path: Path) -> None:
    """The link is replaced; what it leads to stays as it was."""
    shutil.copytree(good / "runs" / "few", tmp_path / "run")
    (tmp_path / "precious").write_text("precious")
    for name, target in (("model.onnx", "../precious"), ("dangling.onnx", "../made"), ("loop.onnx", "loop.onnx")):
        (tmp_path / "run" / name).symlink_to(target)
        assert run_kit("export", "run", "--output", f"run/{name}").exit_code == 0
        assert (tmp_path / "run" / name).is_file()
        assert not (tmp_path / "run" / name).is_symlink()
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (tmp_path / "made").exists()


@pytest.mark.slow
def test_a_run_whose_files_are_links(run_kit: Kit, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    names = ["model.safetensors", "history.csv", "report.json", "MODEL_CARD.md", "curves.png"]
    for name in names:
        (tmp_path / name).write_text("precious")
        (tmp_path / "run" / name).symlink_to(tmp_path / name)
    assert run_kit("train", "--data", "digits", "--epochs", "1", "--out", "run").exit_code == 0
    for name in names:
        assert (tmp_path / name).read_text() == "precious"
        assert not (tmp_path / "run" / name).is_symlink()


def test_a_link_where_the_new_file_is_begun(tmp_path: Path) -> None:
    """Whoever else may write to the folder can guess that name."""
    (tmp_path / "precious").write_text("precious")
    part = tmp_path / f".file.{os.getpid()}.part"
    part.symlink_to("precious")
    write_atomic(tmp_path / "file", b"content")
    assert (tmp_path / "precious").read_text() == "precious"
    assert (tmp_path / "file").read_bytes() == b"content"
    part.mkdir()
    with pytest.raises(KitError, match="expected a place to write to"):
        write_atomic(tmp_path / "file", b"other")


@pytest.mark.spawns
def test_no_file_lies_outside_of_the_output_folder(run_kit: Kit, good: Path, tmp_path: Path) -> None:
    """The whole way, beside files that must stay as they are. Random command lines do the same: `test_batches.py`."""
    shutil.copytree(good / "given" / "photos", tmp_path / "data")
    (tmp_path / "neighbour").write_text("as it was")
    before = snapshot(tmp_path)
    assert run_kit("train", "--data", "data", "--image-size", "4", "--epochs", "1", "--out", "out/run").exit_code == 0
    assert run_kit("export", "out/run", "--format", "onnx", "--format", "ort", "--format", "pt2").exit_code == 0
    for arguments in (
        ["classify", "data", "--model", "out/run/model.onnx"],
        ["evaluate", "--model", "out/run/model.onnx", "--data", "data"],
        ["inspect", "out/run/model.pt2"],
        ["selftest", f"out/run/model.{'onnx' if NUMPY else 'ort'}"],
        ["bench", "out/run/model.onnx", "--seconds", "0.1"],
    ):
        assert run_kit(*arguments).exit_code == 0
    after = snapshot(tmp_path)
    assert {name: about for name, about in after.items() if name in before} == before
    places = (str(tmp_path / "out"), str(tmp_path / "cache"))
    assert all(name.startswith(places) for name in after.keys() - before.keys())

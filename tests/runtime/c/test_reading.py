"""Folders and libraries: whole ones, and damaged, foreign and hostile ones."""

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.c.reading import files_in, is_source, read_source
from runtime.errors import ArtefactError


def test_whole_ones(c_folder: Path, c_library: Path) -> None:
    one, other = read_source(c_folder), read_source(c_library)
    assert one.name == other.name == "digits"
    assert one.files["digits.h"] != other.files["digits.h"]  # it takes frames
    assert (one.frame, other.frame) == ((40, 30), None)
    assert one.metadata.labels == other.metadata.labels
    assert one.size == sum(path.stat().st_size for path in c_folder.iterdir())
    assert is_source(c_folder)
    assert is_source(c_library)
    assert sorted(files_in(c_folder)) == sorted(path.name for path in c_folder.iterdir())
    assert files_in(c_folder.parent) == []


def copied(c_folder: Path, place: Path) -> Path:
    for path in c_folder.iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    return place


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no source": (lambda folder: (folder / "digits.c").unlink(), "no digits.c"),
    "empty": (lambda folder: (folder / "kit.json").write_text(""), "Expecting value"),
    "a list": (lambda folder: (folder / "kit.json").write_text("[]"), "list indices must be"),
    "deep": (lambda folder: (folder / "kit.json").write_text("[" * 100_000), "recursion"),
}


@pytest.mark.parametrize("kind", list(DAMAGE))
def test_a_damaged_folder(kind: str, c_folder: Path, tmp_path: Path) -> None:
    damage, message = DAMAGE[kind]
    damage(copied(c_folder, tmp_path))
    with pytest.raises(ArtefactError, match=f"expected a folder or a library .* found: .*{message}.*: export it again"):
        read_source(tmp_path)


@pytest.mark.parametrize("about", [{}, {"name": "../x", "frame": None}, {"name": "digits", "frame": [1, "2"]}, 5])
def test_an_entry_that_is_none(about: object, c_folder: Path, tmp_path: Path) -> None:
    path = copied(c_folder, tmp_path) / "kit.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"c": about}))
    with pytest.raises(ArtefactError, match="expected a folder or a library"):
        read_source(tmp_path)


def test_libraries_that_are_none(c_library: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.arduino.zip"
    path.write_bytes(c_library.read_bytes()[:-40])
    with pytest.raises(ArtefactError, match="found: File is not a zip file: export it again"):
        read_source(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "")
    with pytest.raises(ArtefactError, match=r"found: no kit\.json: export it again"):
        read_source(path)
    with pytest.raises(ArtefactError, match="found: No such file or directory"):
        read_source(tmp_path / "absent.arduino.zip")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.arduino.zip")
    with pytest.raises(ArtefactError, match="found a device or a pipe"):
        read_source(tmp_path / "x.arduino.zip")


@pytest.mark.parametrize(("place", "value"), [(8, 99), (6, 1), (-1, 0)])
def test_libraries_that_cannot_be_unpacked(place: int, value: int, c_library: Path, tmp_path: Path) -> None:
    """Of an unknown compression, encrypted, and with a damaged stream."""
    data = bytearray(c_library.read_bytes())
    with zipfile.ZipFile(c_library) as library:
        member = next(each for each in library.infolist() if each.filename.endswith("kit.json"))
    start = member.header_offset
    if place < 0:
        place = 30 + len(member.filename)
        data[start + place : start + place + 20] = b"\xff" * 20
    else:
        data[start + place] = value
        directory = data.index(member.filename.encode(), data.index(b"PK\x01\x02")) - 46
        data[directory + place + 2] = value
    path = tmp_path / "x.arduino.zip"
    path.write_bytes(data)
    with pytest.raises(ArtefactError, match=r"expected a folder or a library that .* found: .*: export it again"):
        read_source(path)

"""Archives: their images are read where they are, and what a hostile one answers."""

import gzip
import io
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from runtime.data.archive import Archive
from runtime.data.packed import MAX_NAMES
from runtime.decoding import MAX_FILE_BYTES
from runtime.errors import DataError, InputError

from .trees import member


def zipped(path: Path, *entries: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in entries:
            file.writestr(name, data)
    return path


def tarred(path: Path, *members: tuple[tarfile.TarInfo, io.BytesIO], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]
        for info, data in members:
            file.addfile(info, data)
    return path


@pytest.fixture(params=["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    files = [("b/1.png", b"one"), ("a/2.png", b"two"), ("b/3.png", b"three")]
    target = tmp_path / f"photos.{request.param}"
    if request.param == "zip":
        return zipped(target, *files)
    return tarred(target, *(member(*file) for file in files), mode=f"w:{request.param[4:]}")


def test_images_are_read_in_any_order(path: Path) -> None:
    tree = Archive(path)
    assert (tree.name, tree.where) == ("photos", str(path))
    names = ["a/2.png", "b/3.png", "b/1.png"]
    images = tree.images(names)
    assert list(images) == [b"two", b"three", b"one"]
    assert list(images) == [b"two", b"three", b"one"]
    assert [images.name(position) for position in range(len(images))] == names
    assert [name for name, _ in tree.in_order([(name, 0) for name in sorted(names)])] == (
        sorted(names) if path.suffix == ".zip" else ["b/1.png", "a/2.png", "b/3.png"]
    )


def test_a_missing_image_is_said_and_the_others_are_read(path: Path) -> None:
    missing, there = list(Archive(path).images(["a/9.png", "a/2.png"]))
    assert isinstance(missing, InputError)
    assert str(missing) == "expected an image that can be unpacked, found: no file a/9.png"
    assert there == b"two"


def test_the_states_change_with_the_archive(path: Path) -> None:
    before = list(Archive(path).images(["a/2.png"]).states())
    assert before == list(Archive(path).images(["a/2.png"]).states())
    zipped(path, ("a/2.png", b"other"))
    assert before != list(Archive(path).images(["a/2.png"]).states())


@pytest.mark.parametrize(
    "name", ["../1.png", "/1.png", "a/../../1.png", "C:/1.png", "a\\..\\1.png", "/".join("a" * 40)]
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_lead_out_are_refused(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"photos.{kind}"
    zipped(path, (name, b"")) if kind == "zip" else tarred(path, member(name))
    with pytest.raises(DataError, match=f"^{path}: expected names inside the archive, found .*: pack it anew$"):
        Archive(path)


def test_links_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link = member("a/link.png", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    hard = member("a/hard.png", type=tarfile.LNKTYPE, linkname="a/1.png")
    device = member("a/device.png", type=tarfile.CHRTYPE)
    tree = Archive(tarred(tmp_path / "photos.tar", member("a/1.png"), link, hard, device, mode="w"))
    assert list(tree.walk("a")) == [("a", ["1.png"])]
    assert capsys.readouterr().err == f"{tmp_path / 'photos.tar'}: 2 links in it are left out\n"
    entry = zipfile.ZipInfo("a/link.png")
    entry.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as file:
        file.writestr(entry, "/etc/passwd")
        file.writestr("a/1.png", b"")
    assert list(Archive(tmp_path / "photos.zip").walk("a")) == [("a", ["1.png"])]


def test_an_image_that_unpacks_to_too_much_is_cut(tmp_path: Path) -> None:
    bomb = zipped(tmp_path / "bomb.zip", ("a/1.png", bytes(MAX_FILE_BYTES * 2)))
    (data,) = Archive(bomb).images(["a/1.png"])
    assert isinstance(data, bytes)
    assert len(data) == MAX_FILE_BYTES + 1  # which the decoder refuses


def test_a_tar_that_unpacks_to_too_much_is_refused_without_unpacking(tmp_path: Path) -> None:
    info, _ = member("a/1.png")
    info.size = 2**40
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(gzip.compress(info.tobuf() + bytes(2**20)))
    started = time.monotonic()
    with pytest.raises(DataError, match=r"expected at most [\d,]+ bytes in all, found more"):
        Archive(path)
    assert time.monotonic() - started < 10


def test_a_header_of_a_false_size_is_not_read(tmp_path: Path) -> None:
    info, _ = member("pax")
    info.type, info.size = tarfile.XHDTYPE, 2**33
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(2**20)))
    with pytest.raises(DataError, match=r"expected a whole zip or tar archive, found: a header of 8,589,934,592 bytes"):
        Archive(path)


def test_damage(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 6])
    with pytest.raises(DataError, match=f"^{path}: expected a whole zip or tar archive, found: .*: fetch it again$"):
        Archive(path)


def test_a_damaged_image_is_said_and_the_others_are_read(tmp_path: Path) -> None:
    path = zipped(tmp_path / "photos.zip", ("a/1.png", b"1" * 999), ("a/2.png", b"two"))
    data = bytearray(path.read_bytes())
    data[data.index(b"a/1.png") + 8] ^= 255
    path.write_bytes(bytes(data))
    damaged, whole = Archive(path).images(["a/1.png", "a/2.png"])
    assert isinstance(damaged, InputError)
    assert whole == b"two"


def test_a_password(tmp_path: Path) -> None:
    path = zipped(tmp_path / "photos.zip", ("a/1.png", b"1"))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match="expected an archive without a password, found one: unpack it by hand"):
        Archive(path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_too_many_names(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"photos.{kind}"
    names = (f"{number}.png" for number in range(MAX_NAMES + 1))
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as file:
            for name in names:
                file.writestr(name, b"")
    else:
        with path.open("wb") as raw:
            raw.writelines(member(name)[0].tobuf() for name in names)
    with pytest.raises(DataError, match="expected at most 1,000,000 files, found more: divide it"):
        Archive(path)


def test_many_other_files_are_looked_into_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time that a zip archive is opened, all its names are read."""
    path = zipped(tmp_path / "photos.zip", ("a/1.png", b""), *((f"a/{number}.txt", b"words") for number in range(50)))
    data = bytearray(path.read_bytes())
    data[data.index(b"a/7.txt") + 8] ^= 255
    path.write_bytes(bytes(data))
    tree = Archive(path)
    opened: list[object] = []

    class Counted(zipfile.ZipFile):
        def __init__(self, path: Path) -> None:
            opened.append(path)
            super().__init__(path)

    monkeypatch.setattr(zipfile, "ZipFile", Counted)
    assert [name for name in next(iter(tree.walk("a")))[1] if tree.is_image(f"a/{name}")] == ["1.png"]
    assert len(opened) == 1

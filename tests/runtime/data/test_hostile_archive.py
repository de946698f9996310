"""Archives that are damaged or made to do harm: the right images, or one line, and nothing outside the archive."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.data.archive import Archive
from runtime.errors import DataError, InputError

from .trees import member

NAMES = ("a/1.png", "a/2.png", "b/3.png", "b/notes.txt")
WHOLE = [(name, f"bytes of {name}".encode() * 50) for name in NAMES]


def in_zip(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as file:
        for name, data in files:
            file.writestr(zipfile.ZipInfo(name), data, method)
    return written.getvalue()


def in_tar(*members: tuple[tarfile.TarInfo, io.BytesIO], form: int = tarfile.PAX_FORMAT) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=form) as file:
        for info, data in members:
            file.addfile(info, data)
    return written.getvalue()


ZIP = in_zip(*WHOLE)
TAR = in_tar(*(member(name, data) for name, data in WHOLE))
KINDS: dict[str, tuple[str, bytes]] = {
    "zip": ("x.zip", ZIP),
    "stored zip": ("x.zip", in_zip(*WHOLE, method=zipfile.ZIP_STORED)),
    "tar": ("x.tar", TAR),
    "tar.gz": ("x.tar.gz", gzip.compress(TAR, mtime=0)),
    "tar.bz2": ("x.tar.bz2", bz2.compress(TAR)),
    "tar.xz": ("x.tar.xz", lzma.compress(TAR)),
}


def read(path: Path, data: bytes) -> dict[str, bytes | InputError | None]:
    """Read all files of an archive."""
    path.write_bytes(data)
    tree = Archive(path)
    names = [f"{folder}/{name}" if folder else name for folder, names in tree.walk("") for name in names]
    names = [name for name, _ in tree.in_order([(name, 0) for name in names])]
    assert all(tree.is_image(name) == name.endswith(".png") for name in names if "." in name)
    return dict(zip(names, tree.images(names), strict=True))  # type: ignore[arg-type]


def attempted(path: Path, data: bytes) -> dict[str, bytes | InputError | None] | str:
    """Read all files of an archive, or return what its error says."""
    try:
        return read(path, data)
    except DataError as error:
        return str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_archives(kind: str, tmp_path: Path) -> None:
    name, data = KINDS[kind]
    assert read(tmp_path / name, data) == dict(WHOLE)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_an_archive_that_is_named_as_another(kind: str, tmp_path: Path) -> None:
    assert read(tmp_path / ("x.tar" if kind == "zip" else "x.zip"), KINDS[kind][1]) == dict(WHOLE)


def cut(data: bytes) -> Iterator[bytes]:
    step = max(1, len(data) // 50)
    return (data[:end] for end in range(0, len(data), step))


def flipped(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), max(1, len(data) // 50)):
        yield data[:at] + bytes([data[at] ^ 0x5A]) + data[at + 1 :]


@pytest.mark.parametrize("damage", [cut, flipped])
@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_said_in_a_line(kind: str, damage: Callable[[bytes], Iterator[bytes]], tmp_path: Path) -> None:
    """Or only some of the files are left, each as it was, or said to be damaged; a flipped bit may be in a name."""
    name, whole = KINDS[kind]
    for data in damage(whole):
        found = attempted(tmp_path / name, data)
        if isinstance(found, str):
            assert "\n" not in found
            assert found.startswith(f"{tmp_path / name}: expected ")
            continue
        for inside, content in found.items():
            if isinstance(content, bytes) and inside in dict(WHOLE) and kind != "tar":  # a tar has no checksums
                assert content == dict(WHOLE)[inside]


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tar.xz"])
@pytest.mark.parametrize("data", [b"", b"\0", b"PK", b"words\n" * 99, bytes(10240), b"\x1f\x8b"])
def test_what_is_no_archive(name: str, data: bytes, tmp_path: Path) -> None:
    found = attempted(tmp_path / name, data)
    assert found == {} or "expected a whole zip or tar archive, found" in found


@pytest.mark.parametrize("name", ["a/1\0.png", "\0", "a/" * 40 + "1.png", "..", "a/..", "//x/1.png", "\\\\x\\1.png"])
def test_names_that_no_archive_should_have(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(in_tar(member(name, b"1"), member("a/1.png", b"1"), form=tarfile.GNU_FORMAT))
    data = (tmp_path / "x.tar").read_bytes()
    found = attempted(tmp_path / "x.tar", data)
    if isinstance(found, str):
        assert "expected names inside the archive, found" in found
        assert "\0" not in found
    else:
        assert all(".." not in inside.split("/") and not inside.startswith("/") for inside in found)


def test_long_and_strange_names(tmp_path: Path) -> None:
    long = "a/" + "x" * 300 + ".png"
    strange = ["a/CON.png", "a/1.png:stream", "a/ .png", "a/\x1b[31m.png", "a/\u202egnp.1", "a/\xff.png"]
    found = read(tmp_path / "x.tar", in_tar(*(member(name, b"1") for name in (long, *strange[:4], strange[5]))))
    assert set(found) == {long, *strange[:4], strange[5]}


@pytest.mark.parametrize("names", [("a/1.png", "a/1.png"), ("a/1.png", "./a/1.png"), ("a/1.png", "a\\1.png")])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_files_of_a_name_there_is_one(names: tuple[str, str], tmp_path: Path) -> None:
    files = [(name, str(number).encode()) for number, name in enumerate(names)]
    for path, data in (("x.zip", in_zip(*files)), ("x.tar", in_tar(*(member(*file) for file in files)))):
        assert read(tmp_path / path, data) == {"a/1.png": b"1"}


def test_a_name_that_is_a_file_and_a_folder(tmp_path: Path) -> None:
    files = [("a", b"file"), ("a/1.png", b"1"), ("a/1.png/2.png", b"2")]
    for path, data in (("x.zip", in_zip(*files)), ("x.tar", in_tar(*(member(*file) for file in files)))):
        (tmp_path / path).write_bytes(data)
        tree = Archive(tmp_path / path)
        assert {folder for folder, _ in tree.walk("")} == {"", "a", "a/1.png"}


@pytest.mark.parametrize("kind", ["FIFOTYPE", "CHRTYPE", "BLKTYPE", "SYMTYPE", "LNKTYPE", "CONTTYPE", "DIRTYPE"])
def test_what_is_no_file_in_a_tar(kind: str, tmp_path: Path) -> None:
    odd = member("a/odd.png", type=getattr(tarfile, kind), linkname="/etc/passwd")
    found = read(tmp_path / "x.tar", in_tar(odd, member("a/1.png", b"1")))
    assert found == {"a/1.png": b"1"} | ({"a/odd.png": b""} if kind == "CONTTYPE" else {})


def test_entries_that_overlap_are_read_each_within_its_bound(tmp_path: Path) -> None:
    """As in zip bombs: many entries of one stream; each image is decoded on its own, and none is kept."""
    data = bytearray(in_zip(*((f"a/{number}.png", bytes(10**6)) for number in range(20))))
    start = data.find(b"PK\x01\x02")
    while (start := data.find(b"PK\x01\x02", start)) >= 0:
        data[start + 42 : start + 46] = struct.pack("<I", 0)
        start += 4
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    try:
        tree = Archive(path)
    except DataError:
        return
    names = [f"a/{name}" for name in next(iter(tree.walk("a")))[1]]
    for content in tree.images(names):
        assert isinstance(content, InputError) or len(content) <= 10**6  # type: ignore[arg-type]


@pytest.mark.parametrize("declared", [0, 5, 2**31, 2**32 - 2])
def test_a_zip_entry_of_a_false_size(declared: int, tmp_path: Path) -> None:
    data = bytearray(in_zip(("a/1.png", b"x" * 1000)))
    at = data.find(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", declared)
    (found,) = read(tmp_path / "x.zip", bytes(data)).values()
    assert isinstance(found, InputError) or (found or b"") == b"x" * len(found or b"")


def test_a_sparse_file_is_left_out(tmp_path: Path) -> None:
    info, _ = member("a/1.png")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(2**40)}
    found = attempted(tmp_path / "x.tar", in_tar((info, io.BytesIO())))
    assert "a/1.png" not in found or "expected " in found


@pytest.mark.parametrize("kind", [b"L", b"K", b"x", b"g"])
def test_long_headers_without_an_end(kind: bytes, tmp_path: Path) -> None:
    """A name of 100 MB, one after the other: what is read is bounded."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = kind, 100 * 2**20
    header = info.tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(DataError, match="expected a whole zip or tar archive, found"):
        read(tmp_path / "x.tar.gz", gzip.compress(header + bytes(100 * 2**20), 1))
    chain = tarfile.TarInfo("././@LongLink")
    chain.type, chain.size = kind, 0
    with pytest.raises(DataError, match="expected a whole zip or tar archive, found"):
        read(tmp_path / "y.tar", chain.tobuf(tarfile.GNU_FORMAT) * 5000)


def test_an_archive_in_an_archive_is_no_folder(tmp_path: Path) -> None:
    bomb = in_zip(("1.png", bytes(10**7)))
    found = read(tmp_path / "x.zip", in_zip(("a/1.png", b"1"), ("a/inner.png", bomb)))
    assert set(found) == {"a/1.png", "a/inner.png"}
    assert zlib.crc32(found["a/inner.png"]) == zlib.crc32(bomb)  # type: ignore[arg-type]

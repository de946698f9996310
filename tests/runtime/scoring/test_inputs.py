"""What `kit classify --output` takes: folders, globs, Parquet, URLs; and what it makes of those that are none."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runtime.data.parquet import Reader, Rows
from runtime.scoring.inputs import Files, find_chunks, images_below
from tests.interpreter import Kit
from tests.runtime.predicted import answers, damaged, read, write_images

LAYOUT = "a column of encoded images: binary, or a struct of bytes and path as Hugging Face datasets writes it"


@pytest.mark.parametrize("given", ["photos/*.png", "photos/**/*.png", "photos/deeper", "photos/03.png"])
def test_what_is_listed(photos: Path, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    counts = {"photos/*.png": 20, "photos/**/*.png": 30, "photos/deeper": 10, "photos/03.png": 1}
    chunks = find_chunks([given], size=8)
    names = [name for chunk in chunks if isinstance(chunk, Files) for name in chunk.names]
    assert len(names) == counts[given]
    assert names == sorted(names)
    assert [chunk.images for chunk in chunks] == [8] * (len(names) // 8) + [len(names) % 8] * bool(len(names) % 8)


def test_a_folder_is_read_as_its_images_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["a.png", "b/1.png", "b/a/10.png", "b/b.png", "b.png", "c"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "b/link").symlink_to(tmp_path)
    (tmp_path / ".hidden").mkdir()
    scandir, read = os.scandir, list[str]()

    def recorded(folder: Path) -> Iterator[Any]:
        read.append(folder.name)
        return scandir(folder)

    monkeypatch.setattr("runtime.scoring.inputs.os.scandir", recorded)
    images = images_below(str(tmp_path))
    first = next(images)
    assert (first.name, first.width) == (str(tmp_path / "a.png"), len(str(tmp_path / "b.png")))
    assert read == [tmp_path.name]
    listed = [first, *images]
    assert [image.name for image in listed] == [str(path) for path in sorted(tmp_path / name for name in names)]
    assert [image.width - first.width for image in listed] == [0, 2, 5, 2, 0, 0]
    assert read == [tmp_path.name, "b", "a"]


@pytest.mark.spawns
@pytest.mark.parametrize("group", [7, 100])
def test_parquet(
    run_kit: Kit, model: Path, encoded: list[bytes], expected: list[tuple[str, int, float]], group: int
) -> None:
    """A null image, a null of the struct, and one that cannot be decoded are rows with an error."""
    images: list[bytes | None] = [*encoded[:40], None, b"no image", *encoded[42:50]]
    write_images(Path("images.parquet"), images, group=group)
    result = run_kit("classify", "images.parquet", "--model", model, "--output", "out", "--json")
    summary = json.loads(result.stdout)
    assert summary.pop("seconds") > 0
    assert summary == {"images": 50, "errors": 2, "output": "out", "engine": "local"}
    assert "kit: 2 of 50 images cannot be read: images.parquet, row 40: expected the bytes of an" in result.stderr
    rows = read(Path("out"))
    assert [(row["path"], row["row"]) for row in rows] == [("images.parquet", number) for number in range(50)]
    assert rows[40]["error"] == "expected the bytes of an encoded image, found null"
    assert answers(rows[:40] + rows[42:]) == expected[:40] + expected[42:50]


@pytest.mark.spawns
def test_images_in_files_beside(
    run_kit: Kit, model: Path, encoded: list[bytes], expected: list[tuple[str, int, float]]
) -> None:
    Path("set", "photos").mkdir(parents=True)
    for number, data in enumerate(encoded[:8]):
        Path("set", "photos", f"{number}.png").write_bytes(data)
    Path("secret.png").write_bytes(encoded[8])
    images = [{"bytes": None, "path": f"photos/{number}.png"} for number in range(8)]
    table = pa.table({"image": [*images, {"bytes": None, "path": "../secret.png"}]})
    pq.write_table(table, Path("set", "images.parquet"), row_group_size=3)
    result = run_kit("classify", "set/images.parquet", "--model", model, "--output", "out", "--workers", "2")
    assert result.exit_code == 0, result.stderr
    rows = read(Path("out"))
    assert answers(rows[:8]) == expected[:8]
    assert rows[8]["label"] is None
    assert rows[8]["error"].startswith("expected a path that stays in the Parquet file's folder, found ../secret.png")


@pytest.mark.spawns
def test_a_folder_of_parquet_and_images(run_kit: Kit, model: Path, encoded: list[bytes]) -> None:
    Path("in", "b").mkdir(parents=True)
    write_images(Path("in/c.parquet"), list(encoded[:3]))
    write_images(Path("in/b/a.PARQUET"), list(encoded[3:5]))
    Path("in/a.png").write_bytes(encoded[5])
    assert run_kit("classify", "in", "in/a.png", "--model", model, "--output", "new/out").exit_code == 0
    places = [(row["path"], row["row"]) for row in read(Path("new/out"))]
    assert places == [
        ("in/a.png", None),
        ("in/b/a.PARQUET", 0),
        ("in/b/a.PARQUET", 1),
        ("in/c.parquet", 0),
        ("in/c.parquet", 1),
        ("in/c.parquet", 2),
        ("in/a.png", None),
    ]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_a_plain_column(encoded: list[bytes], tmp_path: Path, kind: pa.DataType) -> None:
    pq.write_table(pa.table({"a.b": pa.array([encoded[0], None], kind), "label": [0, 1]}), tmp_path / "i.parquet")
    (rows,) = find_chunks([str(tmp_path / "i.parquet")], size=10)
    assert isinstance(rows, Rows)
    assert list(Reader().images(rows)) == [encoded[0], None]


@pytest.mark.spawns
def test_no_rows(run_kit: Kit, model: Path) -> None:
    write_images(Path("none.parquet"), [])
    assert run_kit("classify", "none.parquet", "--model", model, "--output", "out").exit_code == 0
    assert read(Path("out")) == []


@pytest.mark.spawns
def test_one_of_several_columns(run_kit: Kit, model: Path, encoded: list[bytes]) -> None:
    pq.write_table(pa.table({"image": encoded[:2], "mask": encoded[2:4]}), "two.parquet")
    result = run_kit("classify", "two.parquet", "--model", model, "--output", "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "kit: two.parquet: expected one column of images, found image, mask: choose one with --column\n"
    )
    result = run_kit("classify", "two.parquet", "--model", model, "--output", "out", "--column", "mask")
    assert result.exit_code == 0, result.stderr
    assert len(read(Path("out"))) == 2
    result = run_kit("classify", "two.parquet", "--model", model, "--output", "out2", "--column", "images")
    assert result.stderr.startswith("kit: two.parquet: expected images, a column of encoded images: binary, or a str")


def test_a_reader_goes_on_and_back(encoded: list[bytes], tmp_path: Path) -> None:
    """Chunks come to a reader in order, or again after another process has died."""
    path = write_images(tmp_path / "images.parquet", list(encoded[:90]), group=50)
    chunks = [chunk for chunk in find_chunks([str(path)], size=20) if isinstance(chunk, Rows)]
    assert [(chunk.group, chunk.first, chunk.start, chunk.stop) for chunk in chunks] == [
        (0, 0, 0, 20),
        (0, 0, 20, 40),
        (0, 0, 40, 50),
        (1, 50, 0, 20),
        (1, 50, 20, 40),
    ]
    reader = Reader()
    for chunk in [*chunks, *chunks[::2], *chunks[::-1]]:
        at = chunk.first + chunk.start
        assert list(reader.images(chunk)) == encoded[at : at + chunk.images]


BAD_PARQUET: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: path.write_bytes(b""), "expected Parquet that can be read, found: Parquet file size is 0 bytes: "),
    (lambda path: path.write_bytes(b"no Parquet at all"), "expected Parquet that can be read, found: Parquet magic"),
    (lambda path: path.write_bytes(path.read_bytes()[:-100]), "expected Parquet that can be read, found: Parquet mag"),
    (lambda path: path.write_bytes(path.read_bytes()[:100]), "expected Parquet that can be read, found: Parquet mag"),
    (lambda path: path.write_bytes(b"PAR1" + bytes(60) + path.read_bytes()[-8:]), "expected Parquet that can be read"),
    (lambda path: damaged(path, 4), "expected Parquet that can be read, found: "),
    (
        lambda path: pq.write_table(pa.table({"label": [1]}), path),
        f"expected {LAYOUT}, found label: int64: ",
    ),
    (lambda path: pq.write_table(pa.table({}), path), "expected a column of encoded images: "),
    (
        lambda path: pq.write_table(pa.table({"image": ["text"], "pixels": [[[1]]]}), path),
        f"expected {LAYOUT}, found image: string, pixels: list<",
    ),
    (lambda path: pq.write_table(pa.table({"image": [{"bytes": "text"}]}), path), "expected a column of encoded im"),
    (lambda path: pq.write_table(pa.table({"image": [{"path": "a.png"}]}), path), "expected a column of encoded im"),
]


@pytest.mark.spawns
@pytest.mark.parametrize(("spoil", "message"), BAD_PARQUET)
def test_bad_parquet(
    run_kit: Kit, model: Path, encoded: list[bytes], spoil: Callable[[Path], object], message: str
) -> None:
    """One line, and nothing written: where the second of two files is bad too."""
    Path("in").mkdir()
    write_images(Path("in/a.parquet"), list(encoded[:5]))
    spoil(write_images(Path("in/b.parquet"), list(encoded[:5])))
    result = run_kit("classify", "in", "--model", model, "--output", "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"kit: in/b.parquet: {message}")
    assert result.stderr.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir() if path.name != "in") == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nowhere", "nowhere: expected an image, a folder, Parquet or a glob, found nothing: name another"),
        ("*.png", "*.png: expected an image, a folder, Parquet or a glob, found nothing: name another"),
        ("empty", "empty: expected a folder with images or Parquet, found none (AVIF, "),
        (
            "file:///nowhere/a.parquet",
            "file:///nowhere/a.parquet: expected Parquet that can be read, found: No such file",
        ),
        (
            "memory://nothing-here",
            "memory://nothing-here: expected a .parquet file or a folder that holds some, found ",
        ),
        (
            "nosuch://a.parquet",
            "nosuch://a.parquet: expected Parquet that can be read, found: Protocol not known: nosuch",
        ),
        ("http://127.0.0.1:1/a.parquet", "http://127.0.0.1:1/a.parquet: expected Parquet that can be read, found: "),
    ],
)
def test_inputs_that_are_none(run_kit: Kit, model: Path, given: str, message: str) -> None:
    Path("empty").mkdir()
    result = run_kit("classify", given, "--model", model, "--output", "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"kit: {message}")
    assert result.stderr.count("\n") == 1
    assert list(Path().iterdir()) == [Path("empty")]


class Ranges(SimpleHTTPRequestHandler):
    """Serves parts of files, as object stores do; the standard library's own handler serves whole files only."""

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        if asked is None:
            return super().do_GET()
        data = Path(self.translate_path(self.path)).read_bytes()
        first, _, last = asked.removeprefix("bytes=").partition("-")
        part = data[int(first) : int(last) + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)
        return None

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Whole(SimpleHTTPRequestHandler):
    """Serves whole files only."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(params=[Ranges, pytest.param(Whole, marks=pytest.mark.slow)])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    (tmp_path / "served").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(request.param, directory=str(tmp_path / "served")))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.spawns
def test_http(run_kit: Kit, model: Path, encoded: list[bytes], expected: list[Any], served: str) -> None:
    """Files are named, and found by a folder's listing."""
    write_images(Path("served/a.parquet"), list(encoded), group=30)
    for number, given in enumerate((f"{served}/a.parquet", f"{served}/")):
        result = run_kit("classify", given, "--model", model, "--output", f"out{number}")
        assert result.exit_code == 0, result.stderr
        rows = read(Path(f"out{number}"))
        assert {row["path"] for row in rows} == {f"{served}/a.parquet"}
        assert answers(rows) == expected
    result = run_kit("classify", f"{served}/b.parquet", "--model", model, "--output", "out")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"kit: {served}/b.parquet: expected Parquet that can be read, found: ")
    assert result.stderr.count("\n") == 1


def test_file_urls_and_globs_of_them(tmp_path: Path, encoded: list[bytes]) -> None:
    for name in ("b", "a"):
        write_images(tmp_path / f"{name}.parquet", [encoded[0]])
    for given in (f"file://{tmp_path}/*.parquet", f"file://{tmp_path}", f"file://{tmp_path}/"):
        chunks = find_chunks([given], size=9)
        assert [chunk.source for chunk in chunks if isinstance(chunk, Rows)] == [
            f"file://{tmp_path}/{name}.parquet" for name in "ab"
        ]


@pytest.mark.spawns
def test_names_that_are_no_utf8(run_kit: Kit, model: Path, encoded: list[bytes]) -> None:
    Path("in").mkdir()
    Path(os.fsdecode(b"in/\xff.png")).write_bytes(encoded[0])
    Path("in/\x1b.png").write_bytes(b"")
    result = run_kit("classify", "in", "--model", model, "--output", "out")
    assert result.exit_code == 0
    assert "\x1b" not in result.stderr
    assert [row["path"] for row in read(Path("out"))] == ["in/\x1b.png", r"in/\udcff.png"]

"""`kit classify --output`: many images, on several processes or on Ray."""

import io
import json
import multiprocessing
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

import runtime
from export import export
from runtime.engines import local
from runtime.errors import ScoringError
from runtime.listing import Chunk, Files, find_chunks
from runtime.parquet import Reader, Rows
from runtime.predictions import writing
from runtime.scoring import Scored, Scorer
from tests.interpreter import UNMEASURED, Kit, run_python
from tests.runtime.mortal import Mortal
from trainer import Dataset, FitConfig, fit

ROOT = Path(__file__).parents[2]
LAYOUT = "a column of encoded images: binary, or a struct of bytes and path as Hugging Face datasets writes it"
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("row", pa.int64()),
        ("label", pa.string()),
        ("index", pa.int32()),
        ("probability", pa.float32()),
        ("error", pa.string()),
    ]
)


def png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(stream, "PNG")
    return stream.getvalue()


def read(folder: Path) -> list[dict[str, Any]]:
    """Read predictions, and check that they are whole: the schema, the names of the parts, and nothing beside them."""
    parts = sorted(folder.iterdir())
    assert [part.name for part in parts] == [f"part-{number:05}.parquet" for number in range(len(parts))]
    assert not list(folder.parent.glob(".*.part"))
    tables = [pq.read_table(part) for part in parts]
    assert all(table.schema.equals(SCHEMA) for table in tables)
    return [row for table in tables for row in table.to_pylist()]


def write_images(path: Path, images: list[bytes | None], column: str = "image", group: int = 100) -> Path:
    """Write images as Hugging Face `datasets` does."""
    rows = [None if image is None else {"bytes": image, "path": f"{number}.png"} for number, image in enumerate(images)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({column: pa.array(rows, kind), "label": [0] * len(rows)}), path, row_group_size=group)
    return path


@pytest.fixture(scope="module")
def encoded(digits: Dataset) -> list[bytes]:
    return [png(pixels) for pixels in digits.test.images.numpy()]


@pytest.fixture(scope="module")
def expected(digits: Dataset, model: Path) -> list[tuple[str, int, float]]:
    """Label, index and probability of each image, by the classifier itself."""
    predictions = runtime.load(model).classify_batch(digits.test.images.numpy())
    return [(prediction.label, prediction.index, prediction.probability) for prediction in predictions]


@pytest.fixture
def photos(encoded: list[bytes], tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    for number, data in enumerate(encoded[:30]):
        (folder / ("deeper" if 10 <= number < 20 else "") / f"{number:02}.png").write_bytes(data)
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_text("no image")
    return folder


def answers(rows: list[dict[str, Any]]) -> list[tuple[str, int, Any]]:
    return [(row["label"], row["index"], pytest.approx(row["probability"], abs=1e-6)) for row in rows]


def test_a_folder(run_kit: Kit, model: Path, photos: Path, expected: list[tuple[str, int, float]]) -> None:
    """Rows come in the order in which `kit classify` itself names the images."""
    (photos / "05.png").write_bytes(b"no image")
    (photos / "06.png").write_bytes(b"")
    result = run_kit("classify", "photos", "--model", model, "--output", "out", "--workers", "2")
    assert result.exit_code == 0
    assert result.stdout.startswith("wrote out: 30 images, 2 errors, ")
    reason = "expected an image file (PNG, JPEG, …), found "
    assert result.stderr == (
        f"kit: 2 of 30 images cannot be read: photos/05.png: {reason}8 bytes that begin b'no image'; "
        f"photos/06.png: {reason}nothing (0 bytes)\n"
    )
    rows = read(Path("out"))
    (photos / ".hidden.png").unlink()
    lines = run_kit("classify", "photos", "--model", model).stdout.splitlines()
    assert [row["path"] for row in rows if not row["error"]] == [line.split()[0] for line in lines]
    assert {row["row"] for row in rows} == {None}
    by_number = {int(Path(row["path"]).stem): row for row in rows}
    assert by_number[5] == {
        "path": "photos/05.png",
        "row": None,
        "label": None,
        "index": None,
        "probability": None,
        "error": f"{reason}8 bytes that begin b'no image'",
    }
    right = [number for number in range(30) if number not in (5, 6)]
    assert answers([by_number[number] for number in right]) == [expected[number] for number in right]


@pytest.mark.parametrize("given", ["photos/*.png", "photos/**/*.png", "photos/deeper", "photos/03.png"])
def test_what_is_listed(photos: Path, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    counts = {"photos/*.png": 20, "photos/**/*.png": 30, "photos/deeper": 10, "photos/03.png": 1}
    chunks = find_chunks([given], size=8)
    names = [name for chunk in chunks if isinstance(chunk, Files) for name in chunk.names]
    assert len(names) == counts[given]
    assert names == sorted(names)
    assert [chunk.images for chunk in chunks] == [8] * (len(names) // 8) + [len(names) % 8] * bool(len(names) % 8)


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


def test_no_rows(run_kit: Kit, model: Path) -> None:
    write_images(Path("none.parquet"), [])
    assert run_kit("classify", "none.parquet", "--model", model, "--output", "out").exit_code == 0
    assert read(Path("out")) == []


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


def damaged(path: Path, at: int) -> None:
    """Overwrite the page that begins after `at` bytes."""
    data = bytearray(path.read_bytes())
    data[at : at + 60] = b"\xff" * 60
    path.write_bytes(data)


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
        ("empty", "empty: expected a folder with images or Parquet, found none (.bmp, "),
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


@pytest.fixture(params=[Ranges, Whole])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    (tmp_path / "served").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(request.param, directory=str(tmp_path / "served")))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


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


def test_names_that_are_no_utf8(run_kit: Kit, model: Path, encoded: list[bytes]) -> None:
    Path("in").mkdir()
    Path(os.fsdecode(b"in/\xff.png")).write_bytes(encoded[0])
    Path("in/\x1b.png").write_bytes(b"")
    result = run_kit("classify", "in", "--model", model, "--output", "out")
    assert result.exit_code == 0
    assert "\x1b" not in result.stderr
    assert [row["path"] for row in read(Path("out"))] == ["in/\x1b.png", r"in/\udcff.png"]


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda path: (path.mkdir(), (path / "x").touch()), "one with files: name another, or remove them"),
        (lambda path: path.touch(), "a file: name another"),
        (lambda path: path.symlink_to("nowhere"), "a file: name another"),
    ],
)
def test_an_output_that_is_there(run_kit: Kit, photos: Path, make: Callable[[Path], object], found: str) -> None:
    """Refused before any work, even before the model is read."""
    make(Path("out"))
    result = run_kit("classify", photos, "--model", "no.onnx", "--output", "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"kit: out: expected a new or an empty folder for the predictions, found {found}\n"


def test_an_empty_output_and_one_in_a_file(run_kit: Kit, model: Path, photos: Path) -> None:
    Path("out").mkdir()
    assert run_kit("classify", photos, "--model", model, "--output", "out").exit_code == 0
    assert len(read(Path("out"))) == 30
    result = run_kit("classify", photos, "--model", model, "--output", "photos/00.png/out")
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "kit: photos/00.png/out: expected a place to write to, found: Not a directory: free"
    )


def test_what_a_killed_run_has_left_is_removed(run_kit: Kit, model: Path, photos: Path) -> None:
    Path(".out.part").mkdir()
    Path(".out.part/part-00000.parquet").write_bytes(b"half")
    Path(".out.part/part-00007.parquet").write_bytes(b"half")
    assert run_kit("classify", photos, "--model", model, "--output", "out").exit_code == 0
    assert len(read(Path("out"))) == 30


def test_two_runs_do_not_write_to_the_same_place(tmp_path: Path) -> None:
    with writing(tmp_path / "out"):
        with pytest.raises(ScoringError, match="out: expected to write alone, found another run at it"):
            writing(tmp_path / "out").__enter__()
        assert (tmp_path / ".out.part").is_dir()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["part-00000.parquet"]


def test_parts_are_of_bounded_size(run_kit: Kit, model: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.predictions.PART_ROWS", 10)
    monkeypatch.setattr("runtime.scoring.BLOCK_IMAGES", 4)
    assert run_kit("classify", photos, "--model", model, "--output", "out").exit_code == 0
    assert [pq.read_metadata(part).num_rows for part in sorted(Path("out").iterdir())] == [12, 12, 6]
    assert len(read(Path("out"))) == 30


def test_a_full_disk(model: Path, photos: Path) -> None:
    """A limit on the size of files stops the writing half way, as a full disk does."""
    code = """
import resource, signal
import kit
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
kit.main(['classify', *sys.argv[1:]])
"""
    result = run_python(code, "photos", "--model", model, "--output", "out", cwd=photos.parent, environment=UNMEASURED)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "kit: out: expected a place to write to, found: File too large: free some space or choose another folder\n"
    )
    assert [path.name for path in photos.parent.iterdir()] == ["photos"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "ray"], "--engine, --workers and --column go with --output"),
        (["--workers", "2"], "--engine, --workers and --column go with --output"),
        (["--column", "image"], "--engine, --workers and --column go with --output"),
        (["--output", "out", "--top-k", "2"], "--top-k and - for standard input do not go with --output"),
        (["--output", "out", "-"], "--top-k and - for standard input do not go with --output"),
        (["--output", "out", "--engine", "spark"], "'spark' is not one of 'local', 'ray'"),
        (["--output", "out", "--workers", "0"], "Invalid value for '--workers'"),
    ],
)
def test_wrong_calls(run_kit: Kit, model: Path, photos: Path, arguments: list[str], message: str) -> None:
    result = run_kit("classify", photos, "--model", model, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert not Path("out").exists()


def test_images_that_look_wrong_are_named_once(run_kit: Kit, model: Path, digits: Dataset) -> None:
    negatives = [png(255 - pixels) for pixels in digits.test.images.numpy()]
    write_images(Path("negatives.parquet"), list(negatives), group=100)
    result = run_kit("classify", "negatives.parquet", "--model", model, "--output", "out")
    assert result.exit_code == 0
    assert result.stderr.startswith("kit: note: expected light and dark as in the training images, found 64 of 64 im")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(("absent", "extra"), [("pyarrow", "parquet"), ("ray", "ray")])
def test_without_an_extra(model: Path, photos: Path, absent: str, extra: str) -> None:
    code = "import kit\nkit.main(['classify', *sys.argv[1:]])"
    arguments: list[str | Path] = [
        "photos",
        "--model",
        model,
        "--output",
        "out",
        *(["--engine", "ray"] if extra == "ray" else []),
    ]
    result = run_python(code, *arguments, cwd=photos.parent, without=[absent])
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.endswith(f" needs {absent}, which is not installed: pip install 'softmax-kit[{extra}]'\n")
    assert result.stderr.count("\n") == 1
    assert [path.name for path in photos.parent.iterdir()] == ["photos"]


def scored(answers: Iterator[Scored]) -> list[dict[str, Any]]:
    return [row for answer in answers for row in answer.table.to_pylist()]


@pytest.fixture
def small_chunks(photos: Path, monkeypatch: pytest.MonkeyPatch) -> list[Chunk]:
    monkeypatch.chdir(photos.parent)
    return find_chunks(["photos"], size=2)


def test_a_killed_process_loses_and_doubles_nothing(model: Path, small_chunks: list[Chunk]) -> None:
    scorer = Scorer(runtime.load(model))
    undisturbed = scored(local(scorer, small_chunks, 2))
    assert len(undisturbed) == 30
    run = local(scorer, small_chunks, 2)
    found = scored(iter([next(run), next(run)]))
    for process in multiprocessing.active_children():
        process.kill()
    assert found + scored(run) == undisturbed


def test_a_process_that_dies_again_and_again(model: Path, small_chunks: list[Chunk], tmp_path: Path) -> None:
    lives = tmp_path / "lives"
    lives.mkdir()
    for number in range(2):
        (lives / str(number)).touch()
    scorer = Mortal(runtime.load(model), "photos/05.png", lives)
    assert len(scored(local(scorer, small_chunks, 1))) == 30
    for number in range(3):
        (lives / str(number)).touch()
    message = (
        "expected processes that last, found 3 die one after the other, perhaps for want of memory, at photos/04.png "
        "or soon after: free some, use fewer --workers, or leave it out"
    )
    with pytest.raises(ScoringError, match=rf"^{re.escape(message)}$"):
        scored(local(scorer, small_chunks, 1))
    assert multiprocessing.active_children() == []


def start(folder: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    """Start the command as a terminal would: it hears Ctrl-C, even where these tests run in the background."""
    code = "import signal\nimport kit\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nkit.main()"
    command = [sys.executable, "-c", code, "classify", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=folder, env={**os.environ, **UNMEASURED}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_an_interrupted_run(
    model: Path, encoded: list[bytes], tmp_path: Path, sent: signal.Signals, status: int
) -> None:
    """Ctrl-C reaches every process of the terminal. The call returns once all that share its output have ended."""
    images = [encoded[number % len(encoded)] for number in range(40_000)]
    write_images(tmp_path / "images.parquet", list(images), group=1000)
    process = start(tmp_path, "images.parquet", "--model", model, "--output", "out", "--workers", "2")
    while not (tmp_path / ".out.part").exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(1)
    os.killpg(process.pid, sent) if sent == signal.SIGINT else process.send_signal(sent)
    started = time.monotonic()
    out, error = process.communicate(timeout=60)
    assert time.monotonic() - started < 10
    assert (process.returncode, out) == (status, "")
    if sent == signal.SIGINT:
        assert error == "kit: interrupted: out is not written\n"
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"images.parquet"} | ({".out.part"} if sent == signal.SIGKILL else set())


def test_progress_on_a_terminal(model: Path, encoded: list[bytes], tmp_path: Path) -> None:
    write_images(tmp_path / "images.parquet", [encoded[number % len(encoded)] for number in range(3000)])
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "kit", "classify", "images.parquet", "--model", str(model), "--output", "out"]
    done = subprocess.run(command, cwd=tmp_path, stderr=follower, stdout=subprocess.PIPE, timeout=120, check=True)
    os.close(follower)
    shown = os.read(leader, 1_000_000).decode()
    os.close(leader)
    assert " of 3,000 images, " in shown
    assert shown.endswith("\r\x1b[K")
    assert done.stdout.startswith(b"wrote out: 3,000 images, 0 errors, ")


def test_a_row_group_that_is_damaged(run_kit: Kit, model: Path, encoded: list[bytes]) -> None:
    """It shows itself in the middle of the run."""
    path = write_images(Path("images.parquet"), list(encoded[:300]), group=10)
    damaged(path, pq.read_metadata(path).row_group(20).column(0).data_page_offset)
    result = run_kit("classify", path, "--model", model, "--output", "out", "--workers", "1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("kit: images.parquet: expected Parquet that can be read, found: ")
    assert result.stderr.count("\n") == 1
    assert list(Path().iterdir()) == [path]
    assert multiprocessing.active_children() == []


@pytest.fixture(scope="module")
def many(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, model: Path) -> tuple[Path, Path]:
    """10,000 images in Parquet, 50 of them corrupt, and a model for them: of Fashion-MNIST where it is."""
    folder = tmp_path_factory.mktemp("many")
    try:
        fashion: Dataset = request.getfixturevalue("fashion")
    except pytest.skip.Exception:
        images = np.random.default_rng(0).integers(0, 256, (10_000, 8, 8), np.uint8)
    else:
        images = fashion.test.images.numpy()
        checkpoint = fit(fashion, FitConfig(epochs=1, device="cpu")).checkpoint
        model = export(checkpoint, "onnx", folder / "model.onnx").path
    data: list[bytes | None] = [png(pixels) for pixels in images]
    for number in np.random.default_rng(1).choice(len(data), 50, replace=False).tolist():
        data[number] = [b"", b"no image", (data[number] or b"")[:80], None][number % 4]
    assert len(data) == 10_000
    return write_images(folder / "images.parquet", data), model


@pytest.fixture(scope="module")
def by_local(many: tuple[Path, Path]) -> list[dict[str, Any]]:
    images, model = many
    process = start(images.parent, images, "--model", model, "--output", "local")
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    rows = read(images.parent / "local")
    assert [row["row"] for row in rows] == list(range(10_000))
    assert sum(row["error"] is not None for row in rows) == 50
    return rows


@pytest.mark.slow
def test_ray_gives_the_same_rows(many: tuple[Path, Path], by_local: list[dict[str, Any]]) -> None:
    """And says nothing of its own."""
    images, model = many
    process = start(images.parent, images, "--model", model, "--output", "ray", "--engine", "ray", "--workers", "2")
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert out.startswith("wrote ray: 10,000 images, 50 errors, ")
    assert error.startswith("kit: 50 of 10,000 images cannot be read: ")
    assert error.count("\n") == 1
    assert read(images.parent / "ray") == by_local


KILLING = """
import os, signal, time
from pathlib import Path
import runtime
from runtime.engines import score_all

def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

def is_ours(pid):
    while pid > 1 and pid != os.getpid():
        pid = parent(pid)
    return pid == os.getpid()

def actors():
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_bytes().startswith(b"ray::MapWorker") and is_ours(int(folder.name)):
                yield int(folder.name)
        except OSError:
            continue

killed = []
def progress(done, total):
    if not killed and done > total / 3:
        pids = sorted(actors())
        assert len(pids) == 2, pids
        os.kill(pids[0], signal.SIGKILL)
        killed.append(done)

images, model, out = sys.argv[1:]
score_all(model, [images], Path(out), engine="ray", workers=2, progress=progress)
print("killed at", *killed)
"""


@pytest.mark.slow
def test_a_killed_actor_loses_and_doubles_nothing(many: tuple[Path, Path], by_local: list[dict[str, Any]]) -> None:
    images, model = many
    result = run_python(KILLING, images, model, images.parent / "killed", cwd=ROOT)
    assert re.match(r"killed at \d+\n$", result.stdout), result.stderr
    assert read(images.parent / "killed") == by_local


@pytest.mark.slow
def test_on_ray_too_a_damaged_file_is_one_line(model: Path, encoded: list[bytes], tmp_path: Path) -> None:
    path = write_images(tmp_path / "images.parquet", list(encoded[:300]), group=10)
    damaged(path, pq.read_metadata(path).row_group(20).column(0).data_page_offset)
    process = start(tmp_path, path.name, "--model", model, "--output", "out", "--engine", "ray")
    out, error = process.communicate(timeout=300)
    assert (process.returncode, out) == (1, "")
    assert error.startswith("kit: images.parquet: expected Parquet that can be read, found: ")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_a_cluster_that_is_none(model: Path, photos: Path, address: str) -> None:
    code = "import kit\nkit.main(['classify', *sys.argv[1:]])"
    arguments: list[str | Path] = ["photos", "--model", model, "--output", "out", "--engine", "ray"]
    result = run_python(code, *arguments, cwd=photos.parent, environment={"RAY_ADDRESS": address})
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(
        f"kit: expected the Ray cluster that RAY_ADDRESS names, {address}, to score images, found: "
    )
    assert result.stderr.count("\n") == 1
    assert [path.name for path in photos.parent.iterdir()] == ["photos"]

"""Decoding files: the runtime's pixels, in one process or several, and why a file cannot be read."""

import io
import multiprocessing
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from runtime import processes
from runtime.data import decode
from runtime.errors import DataError
from runtime.image import ImageContract
from tests.interpreter import run_python

CONTRACT = ImageContract(height=8, width=8, color="RGB")

SCRIPT = """
import os, signal, sys
from pathlib import Path
from runtime.errors import DataError
from runtime.image import ImageContract
from runtime.data import decode

decode.cpus = lambda: 2
paths = sorted(Path(sys.argv[1]).iterdir())
count = 0
for images, _, _ in decode.decode_all(paths, ImageContract(height=8, width=8)):
    count += len(images)
    {then}
print(count, "torch" in sys.modules, "onnxruntime" in sys.modules)
"""


def noise(seed: int, shape: tuple[int, ...] = (6, 7, 3)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


def write(root: Path, count: int) -> list[Path]:
    """Write images, each of another size, and return their paths."""
    root.mkdir()
    paths = [root / f"{number:03}.bmp" for number in range(count)]
    for number, path in enumerate(paths):
        noise(number, (3 + number % 7, 4 + number % 5, 3)).save(path)
    return paths


def pixels(paths: Sequence[Path], contract: ImageContract = CONTRACT) -> NDArray[np.uint8]:
    return np.stack([contract.pixels(path) for path in paths])


@pytest.fixture
def two_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "cpus", lambda: 2)


MODES = [
    *[(mode, "png") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")],
    *[(mode, "tiff") for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "I;16")],
    *[(mode, "jpg") for mode in ("L", "RGB", "CMYK")],
    *[(mode, "bmp") for mode in ("1", "L", "P", "RGB")],
    *[(mode, "webp") for mode in ("RGB", "RGBA")],
    ("P", "gif"),
]


def in_mode(mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.random.default_rng(0).integers(0, 2**16, (9, 7), np.uint16))
    return noise(0, (9, 7, 4 if mode in ("LA", "RGBA") else 3)).convert(mode)


@pytest.mark.parametrize("color", ["L", "RGB"])
def test_formats_and_modes_give_the_runtimes_pixels(tmp_path: Path, color: str) -> None:
    contract = ImageContract(height=5, width=6, color=color)
    paths = [tmp_path / f"{number}.{suffix}" for number, (_, suffix) in enumerate(MODES)]
    for path, (mode, _) in zip(paths, MODES, strict=True):
        in_mode(mode).save(path)
        with Image.open(path) as saved:
            assert saved.mode == mode
    images, reasons, _ = decode.decode(paths, contract)
    assert reasons == {}
    assert images.shape == (len(MODES), *contract.shape)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, pixels(paths, contract))


def test_exif_orientation_is_carried_out(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = noise(0, (8, 8, 3))
    image.save(tmp_path / "turned.png", exif=exif)
    images, _, _ = decode.decode([tmp_path / "turned.png"], CONTRACT)
    np.testing.assert_array_equal(images[0], np.rot90(np.asarray(image), k=-1))


def huge_png() -> bytes:
    """Return a PNG file whose header promises 10,000 × 10,000 pixels: enough for Pillow to warn."""
    stream = io.BytesIO()
    Image.new("L", (1, 1)).save(stream, "PNG")
    data = stream.getvalue()
    header = b"IHDR" + struct.pack(">II", 10_000, 10_000) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.symlink_to("nowhere"), "expected an image file that can be read, found: No such file or"),
        (lambda path: path.write_bytes(huge_png()), "expected at most 64,000,000 pixels, found 10000 × 10000: shrink"),
        (lambda path: Image.new("F", (4, 4)).save(path, "TIFF"), "expected 8-bit or 16-bit pixels, got a floating-"),
        (
            lambda path: Image.new("LAB", (4, 4)).save(path, "TIFF"),
            "expected an image that converts to L, got mode LAB",
        ),
    ],
)
def test_why_a_file_cannot_be_read(tmp_path: Path, make: Callable[[Path], object], reason: str) -> None:
    path = tmp_path / "odd"
    make(path)
    images, reasons, _ = decode.decode([path], ImageContract(height=8, width=8, color="L"))
    assert images.shape == (0, 8, 8, 1)
    assert list(reasons) == [0]
    assert reasons[0].startswith(reason)


@pytest.mark.spawns
@pytest.mark.usefixtures("two_cpus")
def test_several_processes_give_the_same_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write(tmp_path / "images", 330)
    for path in (paths[0], paths[200], paths[329]):
        path.write_bytes(b"")
    found = list(decode.decode_all(paths, CONTRACT))
    forbid_processes(monkeypatch)
    monkeypatch.setattr(decode, "POOL_FROM", 331)
    alone = list(decode.decode_all(paths, CONTRACT))
    assert [list(reasons) for _, reasons, _ in found] == [[0], *[[]] * 5, [8], *[[]] * 3, [9]]
    assert [reasons for _, reasons, _ in found] == [reasons for _, reasons, _ in alone]
    images = np.concatenate([chunk.pixels for chunk in found])
    np.testing.assert_array_equal(images, np.concatenate([chunk.pixels for chunk in alone]))
    np.testing.assert_array_equal(images, pixels(paths[1:200] + paths[201:329]))


def forbid_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "ProcessPoolExecutor", lambda *_, **__: pytest.fail("started processes"))


@pytest.mark.usefixtures("two_cpus")
def test_processes_start_for_many_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_processes(monkeypatch)
    paths = write(tmp_path / "images", 200)
    assert len(list(decode.decode_all(paths[:199], CONTRACT))) == 7
    with pytest.raises(pytest.fail.Exception, match="started processes"):
        next(decode.decode_all(paths, CONTRACT))


@pytest.mark.parametrize(("side", "sizes"), [(64, [3]), (1024, [2, 1]), (2048, [1, 1, 1])])
def test_chunks_of_large_images_are_smaller(tmp_path: Path, side: int, sizes: list[int]) -> None:
    chunks = decode.decode_all(write(tmp_path / "images", 3), ImageContract(height=side, width=side, color="RGB"))
    assert [len(images) for images, _, _ in chunks] == sizes


@pytest.mark.spawns
@pytest.mark.usefixtures("two_cpus")
def test_a_process_that_dies(tmp_path: Path) -> None:
    chunks = decode.decode_all(write(tmp_path / "images", 400), CONTRACT)
    next(chunks)
    for process in multiprocessing.active_children():
        process.kill()
    message = "expected 2 processes to decode images, found that one of them died, possibly out of memory: free "
    with pytest.raises(DataError, match=rf"^{message}some and try again$"):
        list(chunks)


@pytest.mark.spawns
def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    """Nor does decoding load torch, here or in the processes that it starts."""
    write(tmp_path / "images", 250)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(then="pass"))
    code = "import runpy\nrunpy.run_path(sys.argv.pop(1), run_name='__main__')"
    result = run_python(code, script, tmp_path / "images")
    assert (result.stdout, result.stderr) == ("250 False False\n", "")


@pytest.mark.spawns
def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    """The call returns once all that share its output have ended."""
    write(tmp_path / "images", 400)
    kill = "os.kill(os.getpid(), signal.SIGKILL)"
    assert run_python(SCRIPT.format(then=kill), tmp_path / "images").returncode == -9

"""Small files that ask for much memory, or much time: each in a process of its own, whose peak is looked at."""

import io
import json
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from runtime.seal import EMPTY_SEAL, seal
from tests.backends import UNREAD
from tests.interpreter import run_python
from tests.trainer.data.test_load import write_idx

TEN_GB = 10 * 2**30
IMAGE_PEAK = 1_250  # MB: a picture of 64 megapixels in RGBA, three times, and numpy
PEAK = """
import time
import kit
began = time.monotonic()
try:
    kit.main(sys.argv[1:], standalone_mode=True)
except SystemExit as exit:
    code = exit.code
with open("/proc/self/status") as file:
    peak = [int(line.split()[1]) // 1024 for line in file if line.startswith("VmHWM:")][0]
print(f"\\n{code} {peak} {time.monotonic() - began:.0f}")
"""


def run(folder: Path, *arguments: str) -> tuple[int, int, str]:
    """Run a command in a fresh process: its exit status, its peak memory in MB, and what it says on standard error."""
    result = run_python(PEAK, *arguments, cwd=folder)
    status, peak, seconds = map(int, result.stdout.splitlines()[-1].split())
    assert seconds < 60
    return status, peak, result.stderr


def png(width: int, height: int, depth: int = 1, colour: int = 0, channels: int = 1, *extra: bytes) -> bytes:
    """A black picture. extra: chunks, type and content, to stand before the pixels."""

    def chunk(content: bytes) -> bytes:
        return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))

    pack = zlib.compressobj(1)
    rows = bytes(1 + (width * depth * channels + 7) // 8) * 100
    pixels = b"".join(pack.compress(rows) for _ in range(height // 100)) + pack.flush()
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = (header, *extra, b"IDAT" + pixels, b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(chunk, chunks))


def webp(width: int, height: int) -> bytes:
    """An animation whose canvas alone takes 1 GB."""
    file = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    data = file.getvalue()
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return data[:24] + sides + data[30:]


def tiff(width: int, height: int, unpacked: int) -> bytes:
    """A picture whose one strip unpacks to many bytes, whatever its sides are."""
    pack = zlib.compressobj(1)
    strip = b"".join(pack.compress(bytes(2**20)) for _ in range(unpacked >> 20)) + pack.flush()
    entries = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 8), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    entries += [(278, 4, height), (279, 4, len(strip))]
    directory = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + struct.pack("<H", len(entries)) + directory + bytes(4)


def saved(kind: str, side: int, mode: str = "L", **settings: Any) -> bytes:
    """A black picture; of JPEG 2000 that is too large to be made, one whose header says so."""
    file = io.BytesIO()
    small = kind == "JPEG2000" and side > 10_000
    Image.new(mode, (64, 64) if small else (side, side)).save(file, kind, **settings)
    data = bytearray(file.getvalue())
    if small:
        at = data.index(b"ihdr") + 4
        data[at : at + 8] = struct.pack(">II", side, side)
    return bytes(data)


TOO_MANY_WIDE = "expected at most 50,000,000 pixels, found 8000 × 8000: shrink it first"
TOO_MANY = "expected at most 64,000,000 pixels, found "
LARGE = "expected at most 64 MB, found a larger file: shrink it first"
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a PNG of 50,000 × 50,000": (lambda: png(50_000, 50_000), TOO_MANY + "more: shrink it first"),
    "a PNG of 10,000 × 10,000": (lambda: png(10_000, 10_000), TOO_MANY + "10000 × 10000: shrink it first"),
    "a TIFF of 60,000 × 60,000": (lambda: tiff(60_000, 60_000, 2**20), TOO_MANY + "more: shrink it first"),
    "a WebP of 16,383 × 16,383": (lambda: webp(16_383, 16_383), TOO_MANY + "more: shrink it first"),
    "a PNG with a text of 200 MB": (
        lambda: png(100, 100, 8, 0, 1, b"zTXtnote\0\0" + zlib.compress(bytes(200 * 2**20))),
        "expected a whole image, found one that cannot be decoded (Decompressed data too large",
    ),
    "a strip of 200 MB in a TIFF of 8 × 8": (lambda: tiff(8, 8, 200 * 2**20), ""),
    "a JPEG 2000 of 30,000 × 30,000": (lambda: saved("JPEG2000", 30_000), TOO_MANY + "more: shrink it first"),
    "a JPEG 2000 of 8,000 × 8,000": (lambda: saved("JPEG2000", 8_000), TOO_MANY_WIDE),
    "an AVIF of 8,000 × 8,000": (lambda: saved("AVIF", 8_000), TOO_MANY_WIDE),
    "the largest JPEG 2000": (lambda: saved("JPEG2000", 7_071, "RGBA"), ""),
    "the largest AVIF": (lambda: saved("AVIF", 7_071, "RGBA", subsampling="4:4:4"), ""),
    "the largest RGB of 16 bits": (lambda: png(8_000, 8_000, 16, 2, 3), ""),
    "the largest RGBA": (lambda: png(8_000, 8_000, 8, 6, 4), ""),
    "the largest of 16 bits": (lambda: png(8_000, 8_000, 16, 0, 1), ""),
}


@pytest.mark.spawns
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if "largest" in name or "AVIF" in name else name for name in BOMBS],
)
def test_a_picture_that_swells(name: str, model: Path, tmp_path: Path) -> None:
    make, message = BOMBS[name]
    (tmp_path / "bomb").write_bytes(make())
    status, peak, said = run(tmp_path, "classify", "bomb", "--model", str(model))
    assert peak < IMAGE_PEAK
    if message:
        assert (status, said.startswith(f"kit: bomb: {message}"), said.count("\n")) == (1, True, 1), said
    else:
        assert "Traceback" not in said
        assert status in (0, 1)


@pytest.mark.spawns
def test_standard_input_without_end(model: Path, tmp_path: Path) -> None:
    code = "sys.stdin = open('/dev/zero')\n"
    result = run_python(code + PEAK, "classify", "-", "--model", str(model), cwd=tmp_path)
    status, peak, _ = map(int, result.stdout.splitlines()[-1].split())
    assert (status, result.stderr) == (1, f"kit: these bytes: {LARGE}\n")
    assert peak < IMAGE_PEAK


def declared(model: Path, dims: list[int], *, content: bytes) -> bytes:
    """The artefact with weights of other dimensions, sealed as if it were right."""
    proto = onnx.load(model)
    weights = next(tensor for tensor in proto.graph.initializer if tensor.name == "weights")
    weights.CopyFrom(TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=dims, raw_data=content))
    props = {prop.key: prop.value for prop in proto.metadata_props}
    helper.set_model_props(proto, props | {"kit.seal": EMPTY_SEAL.decode()})
    return seal(proto.SerializeToString())


@pytest.mark.spawns
@pytest.mark.parametrize("content", [b"", bytes(2560)], ids=["nothing", "too little"])
@pytest.mark.parametrize("dims", [[TEN_GB // 40, 10], [64, TEN_GB // 256], [2**62, 10]], ids=str)
@pytest.mark.parametrize("command", ["inspect", "selftest"])
def test_an_artefact_that_declares_10_gb(
    command: str, dims: list[int], content: bytes, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "large.onnx").write_bytes(declared(model, dims, content=content))
    status, peak, said = run(tmp_path, command, "large.onnx")
    assert (status, said.count("\n")) == (1, 1), said
    assert said.startswith(f"kit: large.onnx: {UNREAD}")
    assert peak < 300


def checkpoint_of(path: Path, count: int, *, there: bool) -> None:
    """A safetensors file that declares one tensor of bytes, and has them, as a hole in the file, or has not."""
    header = json.dumps({"weights": {"dtype": "U8", "shape": [count], "data_offsets": [0, count]}}).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        if there:
            file.truncate(file.tell() + count)


@pytest.mark.spawns
@pytest.mark.parametrize(
    ("there", "message"),
    [
        (False, r"expected a checkpoint \(model.safetensors\), found a file that is not a valid one"),
        (True, "at most 8 GB, found"),
    ],
)
def test_a_checkpoint_that_declares_10_gb(there: bool, message: str, tmp_path: Path) -> None:
    checkpoint_of(tmp_path / "large.safetensors", TEN_GB, there=there)
    status, peak, said = run(tmp_path, "export", "large.safetensors")
    assert (status, said.count("\n")) == (1, 1), said
    assert re.match(rf"kit: large.safetensors: .*{message}", said)
    assert peak < 300


@pytest.mark.spawns
def test_a_header_as_long_as_the_address_space(tmp_path: Path) -> None:
    for size in (2**31, 2**63, 2**64 - 1):
        (tmp_path / "c").write_bytes(struct.pack("<Q", size) + b"{}" * 100)
        status, peak, said = run(tmp_path, "export", "c")
        assert (status, said.startswith("kit: c: expected a checkpoint (model.safetensors), found")) == (1, True)
        assert peak < 300


@pytest.mark.slow
def test_idx_files_that_declare_2_to_the_31_images(tmp_path: Path) -> None:
    write_idx(tmp_path / "MNIST" / "raw")
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    sound = path.read_bytes()
    path.write_bytes(sound[:4] + struct.pack(">I", 2**31) + sound[8:])
    status, peak, said = run(tmp_path, "train", "--data", "mnist", "--data-dir", ".", "--no-report")
    assert (status, said.count("\n")) == (1, 1), said
    assert said.startswith("kit: mnist: expected the files train-images-idx3-ubyte, ")
    assert peak < 2_000  # torch and torchvision


def test_a_cache_file_with_a_hostile_header(tmp_path: Path, cache: Path) -> None:
    """numpy's header is a Python literal: one of 100 MB, and one that declares 2^40 images, are decoded anew."""
    from trainer import load_data

    for label in ("a", "b"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(5):
            Image.fromarray(np.full((4, 4), number, np.uint8)).save(tmp_path / "data" / label / f"{number}.png")
    first = load_data(tmp_path / "data", image_size=4).train.images.numpy()
    (cached,) = cache.glob("*.npy")
    long = b"\x93NUMPY\x02\x00" + struct.pack("<I", 100 * 2**20) + b"(" * (100 * 2**20)
    many = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776, 4, 4, 3), }"
    for content in (long, many.ljust(127) + b"\n"):
        cached.write_bytes(content)
        again = load_data(tmp_path / "data", image_size=4)
        np.testing.assert_array_equal(again.train.images.numpy(), first)

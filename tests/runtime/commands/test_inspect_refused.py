"""`kit inspect` of files that are not models."""

import zipfile
from pathlib import Path

from tests.backends import NUMPY, UNREAD
from tests.interpreter import Kit
from tests.runtime.given import write_zip


def test_files_that_are_none(run_kit: Kit, exported: dict[str, Path]) -> None:
    kit_json = {"m/constants.pkl": b"", "m/extra/kit.json": b"{}"}
    Path("folder").mkdir()
    Path("empty").touch()
    Path("text").write_text("no model")
    for name, path in exported.items():
        Path(f"cut-{name}").write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    write_zip(Path("pictures.zip"), {"1.png": b"", "2.png": b""})
    write_zip(Path("lzma.pt"), kit_json, compression=zipfile.ZIP_LZMA)
    two = write_zip(Path("two.pt"), kit_json | {"m/extra/kit.jsom": b"{}"}).read_bytes()
    Path("two.pt").write_bytes(two.replace(b"kit.jsom", b"kit.json"))
    Path("crc.pt").write_bytes(write_zip(Path("whole.pt"), kit_json).read_bytes().replace(b"{}", b"[]"))
    encrypted = bytearray(Path("whole.pt").read_bytes())
    for start, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[encrypted.rindex(start) + flags] |= 1
    Path("encrypted.pt").write_bytes(encrypted)
    write_zip(Path("no-json.pt"), kit_json | {"m/extra/kit.json": b"\xff{"})
    unread = UNREAD
    expected = {
        "absent": "expected an artefact, found: No such file or directory: make one with `kit export --format onnx`",
        "x" * 999: "expected an artefact, found: File name too long: make one",
        "folder": "expected an artefact, found: Is a directory: make one with",
        "/dev/zero": "expected an artefact, found a device or a pipe: name a file",
        "empty": unread,
        "text": unread,
        "cut-onnx": unread,
        "cut-onnx-int8": unread,
        **({} if NUMPY else {"cut-ort": unread}),
        "cut-torchscript": "expected a whole zip file, found a damaged one (File is not a zip file)",
        "cut-pt2": "expected a whole zip file, found a damaged one (File is not a zip file)",
        "pictures.zip": "expected a model as torch.jit.save or torch.export.save writes it, found a zip",
        "lzma.pt": "expected kit.json stored or deflated, found it otherwise compressed",
        "two.pt": "expected an artefact made by `kit export`, with one kit.json, found 2",
        "crc.pt": "expected a whole zip file, found a damaged one (Bad CRC-32",
        "encrypted.pt": "expected a whole zip file, found a damaged one (File ",
        "whole.pt": "expected an artefact made by `kit export`, found a file without kit.version, kit.labels,",
        "no-json.pt": r"kit.json: expected JSON, found",
    }
    for name, message in expected.items():
        for arguments in ([], ["--json"]):
            result = run_kit("inspect", name, *arguments)
            assert result.exit_code == 1, name
            assert result.stderr.startswith(f"kit: {name}: {message}"), result.stderr
            assert result.stderr.count("\n") == 1
            assert not any(line.strip().startswith(("labels", '"labels"')) for line in result.stdout.splitlines())

"""Files that carry code, each where it might be run: a pickle that makes a file, or a program to be started."""

import io
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from runtime import InputError
from runtime.image import ImageContract
from tests.interpreter import Kit
from tests.trainer.data.test_load import write_idx
from trainer import DataError, load_data


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, made: Path) -> None:
        self._made = made

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._made,)


def pickled(made: Path) -> bytes:
    return pickle.dumps(Payload(made))


def zipped(made: Path) -> bytes:
    """What torch.save writes: a zip file with a pickle."""
    file = io.BytesIO()
    torch.save({"weights": torch.zeros(2), "more": Payload(made)}, file)
    return file.getvalue()


def old(made: Path) -> bytes:
    """What torch.save wrote before it wrote zip files."""
    file = io.BytesIO()
    torch.save({"more": Payload(made)}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def objects(made: Path) -> bytes:
    """A .npy file of Python objects."""
    file = io.BytesIO()
    np.save(file, np.array([Payload(made)], object), allow_pickle=True)
    return file.getvalue()


def hidden(made: Path) -> bytes:
    """A sound safetensors file of one tensor, which is a pickle."""
    content = pickled(made)
    header = b'{"weights":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (len(content), len(content))
    return struct.pack("<Q", len(header)) + header + content


CARRIERS = [pickled, zipped, old, objects, hidden]
COMMANDS = [
    ("export", "{}"),
    ("export", "runs/few"),
    ("train", "--data", "digits", "--epochs", "1", "--out", "runs/few", "--resume"),
    ("classify", "{}", "--model", "{}"),
    ("classify", "{}", "--model", "good.onnx"),
    ("inspect", "{}"),
    ("selftest", "{}"),
    ("bench", "{}"),
    ("evaluate", "--model", "{}", "--data", "digits"),
]


@pytest.mark.parametrize("carrier", CARRIERS)
def test_these_files_do_carry_code(carrier: Callable[[Path], bytes], tmp_path: Path) -> None:
    data = carrier(tmp_path / "made")
    assert b"cposixpath" in data or b"pathlib" in data
    if carrier is pickled:
        pickle.loads(data)
        assert (tmp_path / "made").exists()


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize(
    "command", [*COMMANDS[:2], *(pytest.param(words, marks=pytest.mark.slow) for words in COMMANDS[2:])]
)
def test_a_pickle_is_not_run(
    command: tuple[str, ...], carrier: Callable[[Path], bytes], run_kit: Kit, model: Path, tmp_path: Path
) -> None:
    """Whatever the file is called, and whichever command it is given to."""
    path = tmp_path / "runs" / "few" / "model.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(carrier(tmp_path / "made"))
    shutil.copy(model, tmp_path / "good.onnx")
    result = run_kit(*(str(path) if word == "{}" else word for word in command))
    assert result.exit_code == 1
    assert [line.startswith("kit: ") for line in result.stderr.splitlines()].count(True) == 1
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["processed/training.pt and test.pt", "cifar-10-batches-py"])
def test_a_pickle_among_torchvisions_files_is_not_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MNIST's oldest form was torch.save's; CIFAR-10 is pickles, read only with the digests they must have."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network here")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    kind = "cifar10" if "cifar" in name else "mnist"
    folder = tmp_path / name if kind == "cifar10" else tmp_path / "MNIST" / "processed"
    folder.mkdir(parents=True)
    files = ("batches.meta", "test_batch", *(f"data_batch_{n}" for n in range(1, 6)), "training.pt", "test.pt")
    for file in files:
        (folder / file).write_bytes((zipped if file.endswith(".pt") else pickled)(tmp_path / "made"))
    with pytest.raises(DataError, match=f"^{kind}: expected the files "):
        load_data(kind, data_dir=tmp_path)
    assert not (tmp_path / "made").exists()


def test_an_image_starts_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow has Ghostscript draw EPS files, which are programs."""
    script = tmp_path / "bin" / "gs"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\ntouch {tmp_path / 'made'}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=os.pathsep)
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(made) (w) file closefile showpage\n%%EOF\n"
    (tmp_path / "image.png").write_bytes(eps)
    for image in (eps, tmp_path / "image.png"):
        with pytest.raises(InputError, match=r"expected an image file \(PNG, JPEG, …\), found "):
            ImageContract(height=8, width=8).pixels(image)
    assert not (tmp_path / "made").exists()


def test_idx_files_are_read_where_nothing_else_is(tmp_path: Path) -> None:
    """The same folders, so that what is refused above is refused for the pickles."""
    write_idx(tmp_path / "MNIST" / "raw")
    assert len(load_data("mnist", data_dir=tmp_path).train) == 20

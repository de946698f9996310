"""Checkpoints: what is written is read again, and nothing else is."""

import dataclasses
import hashlib
import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from tests.interpreter import run_python
from trainer import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint

PLAIN = {"height": 8, "width": 8, "color": "L", "fit": "stretch", "filter": "bilinear"}
ARRAYS = ("weights", "bias", "mean", "std", "golden_images", "golden_probabilities", "sample_images")


@pytest.fixture
def path(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_checkpoint(checkpoint, path)
    return path


def rewrite(path: Path, *, metadata: dict[str, str] | None = None, **changes: Any) -> None:
    """Write the checkpoint again with other tensors (None leaves one out) or another description."""
    with safetensors.safe_open(path, framework="numpy") as file:
        description = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors = {name: array for name, array in (tensors | changes).items() if array is not None}
    path.write_bytes(safetensors.numpy.save(tensors, description if metadata is None else metadata))


def describe(path: Path, **changes: Any) -> dict[str, str]:
    with safetensors.safe_open(path, framework="numpy") as file:
        document = json.loads(file.metadata()["kit"])
    return {"kit": json.dumps({name: value for name, value in (document | changes).items() if value is not None})}


def test_reads_what_was_written(checkpoint: Checkpoint, path: Path) -> None:
    found = load_checkpoint(path)
    for name in ARRAYS:
        expected = getattr(checkpoint, name)
        assert getattr(found, name).dtype == expected.dtype
        np.testing.assert_array_equal(getattr(found, name), expected, err_msg=name)
    assert (found.labels, found.image, found.provenance) == (checkpoint.labels, checkpoint.image, checkpoint.provenance)


def test_equal_checkpoints_are_equal_bytes_and_the_digest_is_theirs(checkpoint: Checkpoint, path: Path) -> None:
    assert load_checkpoint(path).to_bytes() == path.read_bytes() == checkpoint.to_bytes()
    assert load_checkpoint(path).digest() == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_labels_of_every_kind_survive(checkpoint: Checkpoint, tmp_path: Path) -> None:
    labels = ("a,b", 'say "c"', "köln", "鞋", "\n", " ", "7", "8", "9", "0")
    save_checkpoint(dataclasses.replace(checkpoint, labels=labels), tmp_path / "c")
    assert load_checkpoint(tmp_path / "c").labels == labels


@pytest.mark.spawns
def test_is_read_without_torch(path: Path) -> None:
    code = "from trainer import load_checkpoint\nprint(load_checkpoint(sys.argv[1]).labels)"
    result = run_python(code, path, without=["torch"])
    assert result.stdout.startswith("('0', '1'"), result.stderr


class Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("code from the file ran",)


@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"\xff" * 100, b"\x00" * 100, pickle.dumps(Malicious()), b"\x08" + b"\x00" * 7 + b"[" * 8],
    ids=["empty", "short", "ones", "zeros", "pickle", "brackets"],
)
def test_a_file_that_is_no_checkpoint(tmp_path: Path, data: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c").write_bytes(data)
    with pytest.raises(
        CheckpointError, match=r"c: expected a checkpoint \(model.safetensors\), found a file that is not a valid one"
    ):
        load_checkpoint(tmp_path / "c")
    assert capsys.readouterr().out == ""


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="found no such file: make one with `kit train`"):
        load_checkpoint(tmp_path / "absent")
    with pytest.raises(CheckpointError, match="found a file that is not a valid one"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_truncated_file(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CheckpointError, match="found a file that is not a valid one"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": None}, "'weights'"),
        ({"weights": np.zeros((63, 10), np.float32)}, "weights is float32 [63, 10], expected float32 [64, 10]"),
        ({"weights": np.zeros((64, 10))}, "weights is float64 [64, 10], expected float32 [64, 10]"),
        ({"weights": np.full((64, 10), np.nan, np.float32)}, "weights holds values that are not finite"),
        ({"std": np.zeros(1, np.float32)}, "std or scale that is not above 0"),
        ({"golden_images": np.zeros((3, 8, 8, 1), np.uint8)}, "golden examples out of range"),
        ({"sample_images": np.zeros((0, 8, 8, 1), np.uint8)}, "no training images"),
        ({"golden_images": np.zeros((10, 8, 8, 3), np.uint8)}, "golden_images is uint8 [10, 8, 8, 3], expected uint8"),
    ],
)
def test_tensors_that_do_not_fit(path: Path, changes: dict[str, Any], message: str) -> None:
    rewrite(path, **changes)
    with pytest.raises(CheckpointError, match=re.escape(message)):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 1}, "version 1, this softmax-kit reads 2 and 3"),
        ({"version": "3"}, "version '3', this softmax-kit reads 2 and 3"),
        ({"labels": None}, "'labels'"),
        ({"labels": 5}, "int"),
        ({"labels": ["a"] * 10}, "labels that are not at least 2 different names"),
        ({"image": PLAIN | {"height": 0}}, "expected an image side of 1 to 16,384 pixels, found 0"),
        ({"image": PLAIN | {"color": "CMYK"}}, "expected one of L, RGB in the image contract"),
        ({"image": {"height": 8}}, "width"),
        ({"provenance": 7}, "int"),
    ],
)
def test_descriptions_that_do_not_fit(path: Path, changes: dict[str, Any], message: str) -> None:
    rewrite(path, metadata=describe(path, **changes))
    with pytest.raises(CheckpointError, match=re.escape(message)):
        load_checkpoint(path)


@pytest.mark.parametrize("metadata", [{}, {"kit": "{"}, {"kit": "[" * 100_000}, {"kit": "null"}])
def test_no_description(path: Path, metadata: dict[str, str]) -> None:
    rewrite(path, metadata=metadata)
    with pytest.raises(CheckpointError, match="expected a checkpoint that `kit train` wrote, found other content"):
        load_checkpoint(path)

"""Damaged and random input ends in an answer or a KitError, never in anything else; each case is known by its number.

The everyday suite runs a small share of the cases, `make test-hostile` all of them.
"""

from pathlib import Path

import pytest

from tests.backends import NUMPY

from .batches import survive

# kind, what the cases are made from, how many every day, how many in all
BATCHES = [
    ("sealed", "given/model.onnx", 300, 20_000),
    ("sealed", "given/model.int8.onnx", 300, 20_000),
    ("sealed", "given/model.ort", 300, 20_000),
    ("numpy", "given/model.onnx", 150, 20_000),
    ("numpy", "given/model.int8.onnx", 150, 20_000),
    ("numpy", "given/later.onnx", 100, 5_000),
    ("artefact", "given/model.onnx", 300, 15_000),
    ("metadata", "given/model.onnx", 500, 15_000),
    ("metadata", "given/later.onnx", 500, 20_000),
    ("sealed", "given/later.onnx", 100, 5_000),
    ("image", "given/pictures", 800, 40_000),
    ("checkpoint", "runs/few/model.safetensors", 500, 10_000),
    ("checkpoint", "runs/later/model.safetensors", 100, 5_000),
    ("unfinished", "runs/sgd/model.safetensors", 40, 1_000),
    ("unfinished", "runs/lbfgs/model.safetensors", 0, 1_000),
    ("idx", "given/MNIST/raw", 0, 5_000),
    ("commands", "", 50, 3_000),
]


RUNS = [pytest.param(kind, source, some, id=f"{kind} {source} some") for kind, source, some, _ in BATCHES if some]
RUNS += [
    pytest.param(kind, source, many, id=f"{kind} {source} all", marks=pytest.mark.slow)
    for kind, source, _, many in BATCHES
]


@pytest.mark.spawns
@pytest.mark.parametrize(("kind", "source", "count"), RUNS)
def test_hostile_cases(kind: str, source: str, count: int, good: Path, tmp_path: Path) -> None:
    if NUMPY and source.endswith(".ort"):
        pytest.skip("of onnxruntime alone")
    found = survive(kind, good / source, range(count), tmp_path)
    assert found["refused"] > 0
    assert found["answers"] > 0 or kind == "artefact"


def test_there_are_100_000_cases() -> None:
    assert sum(count for *_, count in BATCHES) >= 100_000


@pytest.mark.spawns
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("crash", "status -6 on fault case 3 of "),
        ("trace", "ZeroDivisionError"),
        ("write", "not allowed here: open "),
        ("connect", "not allowed here: socket.getaddrinfo "),
    ],
)
def test_what_goes_wrong_is_noticed(fault: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    with pytest.raises(AssertionError, match=message):
        survive("fault", tmp_path / fault, range(5), tmp_path / "inside")
    assert not (tmp_path / fault).exists()

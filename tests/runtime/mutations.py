"""Damaged artefacts, each made from a number, and a child process that opens them: it may crash, the tests do not."""

import contextlib
import json
import math
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import runtime
from runtime import KitError
from runtime.artefact import ORT_IDENTIFIER, SEAL_START, UNSEALED, seal

ROOT = Path(__file__).parents[2]
MEMORY = 8 * 2**30  # of address space in the child
STUCK = 60  # seconds for one case
ANCHORS = b"Gemm", b"MatMulInteger", b"Softmax", b"Flatten", b"weights", b"bias", b"images", b"probabilities", b"ORTM"
NUMBERS = 0, 1, 2, 3, 7, 8, 10, 13, 14, 16, 64, 127, -1, -2, 10**6, 2**20, 2**31 - 1
WORDS = (
    "", "x", "images", "pixels", "features", "weights", "bias", "logits", "probabilities", "N", "ai.onnx.ml", "Gemm",
    "MatMul", "Softmax", "Flatten", "Cast", "Reshape", "Transpose", "Concat", "Add", "Div", "Identity", "ReduceSum",
    "MatMulInteger", "Gather", "Expand", "Tile", "Pad", "ConstantOfShape", "Shape", "Slice", "Conv", "Resize", "Where",
    "OneHot", "TopK", "NonZero", "Range", "Squeeze", "Unsqueeze", "DequantizeLinear", "LayerNormalization",
)  # fmt: skip
VALUES = 0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF


def mutate(data: bytes, rng: np.random.Generator, near: list[int] | None = None) -> bytes:
    """Change one to four places: a bit, a byte, a run of bytes; cut, repeat or insert some. near: places to prefer."""
    out = bytearray(data)
    gentle = rng.random() < 0.5  # in place, so that no length is wrong
    for _ in range(int(rng.integers(1, 3 if gentle else 5))):
        at = int(rng.integers(len(out) or 1))
        if near and rng.random() < 0.6:
            at = min(max(0, near[int(rng.integers(len(near)))] + int(rng.integers(-48, 64))), max(0, len(out) - 1))
        span = int(rng.integers(1, 9))
        match int(rng.integers(4 if gentle else 8)):
            case 0 | 1 if out:
                out[at] ^= 1 << int(rng.integers(8))
            case 2 | 3 if out:
                out[at] = VALUES[int(rng.integers(len(VALUES)))]
            case 4:
                out[at : at + span] = rng.bytes(span)
            case 5:
                del out[at : at + span]
            case 6:
                out[at:at] = out[at : at + 8 * span]
            case _:
                out[at:at] = rng.bytes(span)
    return bytes(out[: int(rng.integers(len(out) + 1))] if not gentle and rng.random() < 0.05 else out)


def restructure(model: bytes, rng: np.random.Generator) -> bytes:
    """Change one to three fields, anywhere in an ONNX file but in its metadata; its protobuf stays sound."""
    proto = onnx.load_from_string(model)
    for _ in range(int(rng.integers(1, 4))):
        message = proto.graph if rng.random() < 0.95 else proto
        while True:
            fields = [(field, value) for field, value in message.ListFields() if field.name != "metadata_props"]
            if not fields:
                break
            field, value = fields[int(rng.integers(len(fields)))]
            repeated = not isinstance(value, (bool, bytes, float, int, str)) and hasattr(value, "__len__")
            if repeated and rng.random() < 0.25:
                at = int(rng.integers(len(value)))
                if rng.random() < 0.5:
                    del value[at]
                else:
                    value.extend([value[at]])
                break
            if field.message_type is None:
                other = _other(value[0] if repeated else value, rng)
                if repeated:
                    value[int(rng.integers(len(value)))] = other
                else:
                    setattr(message, field.name, other)
                break
            if rng.random() < 0.03:
                message.ClearField(field.name)
                break
            message = value[int(rng.integers(len(value)))] if repeated else value
    changed: bytes = proto.SerializeToString()
    return changed


def _other(value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, int):
        return NUMBERS[int(rng.integers(len(NUMBERS)))]
    if isinstance(value, float):
        return (0.0, -1.0, 1e38, math.inf, math.nan)[int(rng.integers(5))]
    if isinstance(value, bytes):
        return mutate(value, rng)
    return WORDS[int(rng.integers(len(WORDS)))]


def resealed(original: bytes, number: int) -> bytes:
    """Damage number `number` to an artefact, sealed as if it were right, so that onnxruntime comes to see it."""
    place = original.index(SEAL_START) + len(SEAL_START)
    data = original[:place] + UNSEALED + original[place + 64 :]
    rng = np.random.default_rng([number, len(original)])
    if number % 2 and data[4:8] != ORT_IDENTIFIER:
        with contextlib.suppress(ValueError):  # of an enum that has no such value, say
            data = restructure(data, rng)
        return seal(data) if data.count(SEAL_START) == 1 else data
    near = [data.index(anchor) for anchor in ANCHORS if anchor in data]
    damaged = mutate(data, rng, near)
    return seal(damaged) if damaged.count(SEAL_START + UNSEALED) == 1 == damaged.count(SEAL_START) else damaged


def use(data: bytes) -> bool:
    """Open an artefact and run it, as far as that goes: whether it gave an answer. Raises what is no KitError."""
    try:
        classifier = runtime.load(data)
        height, width, channels = classifier.metadata.image.shape
        if height * width > 10**6:  # a contract may well be that large; the answer would take its time
            return True
        found = classifier.probabilities(np.zeros((2, height, width, channels), np.uint8))
        assert found.shape == (2, len(classifier.labels))
        assert found.dtype == np.float32
        classifier.selftest()
    except KitError:
        return False
    return True


def survive(artefact: Path, numbers: range, folder: Path) -> dict[str, int]:
    """Have a child process open damaged artefacts: how many gave an answer, and how many were refused.

    Raises AssertionError, with the number and the file's bytes kept in `folder`, where one of them crashed the
    interpreter, got stuck, or raised what is no KitError.
    """
    progress = folder / "number"
    arguments = [str(artefact), str(numbers.start), str(numbers.stop), str(progress)]
    command = [sys.executable, "-m", "tests.runtime.mutations", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        reached = ""
        while True:
            try:
                out, err = child.communicate(timeout=STUCK)
                break
            except subprocess.TimeoutExpired:
                before, reached = reached, progress.read_text() if progress.exists() else ""
                if before == reached:
                    child.kill()
    if child.returncode:
        number = int(progress.read_text())
        (folder / f"{number}.bad").write_bytes(resealed(artefact.read_bytes(), number))
        raise AssertionError(
            f"status {child.returncode} on case {number} of {artefact.name}, kept in {folder}: {err[-2000:]}"
        )
    counts: dict[str, int] = json.loads(out)
    return counts


def main(artefact: str, start: str, stop: str, progress: str) -> None:
    """Open the damaged artefacts of a range, noting each one's number before it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    original = Path(artefact).read_bytes()
    answers = 0
    file = os.open(progress, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in range(int(start), int(stop)):
        os.pwrite(file, f"{number:12}".encode(), 0)
        answers += use(resealed(original, number))
    print(json.dumps({"answers": answers, "refused": int(stop) - int(start) - answers}))


if __name__ == "__main__":
    main(*sys.argv[1:])

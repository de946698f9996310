"""A file that does not answer as the trained model does is never kept; what the report of one that does says."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runtime
from export import ExportError, ParityError, export
from export.formats import FORMATS
from runtime import Classifier
from runtime.artefact import Metadata
from tests.formats import FILES
from tests.interpreter import run_python
from trainer import Checkpoint, save_checkpoint

FLOATS = [name for name, kind in FORMATS.items() if kind.agreement == 1]


def break_weight(checkpoint: Checkpoint) -> Checkpoint:
    weights = checkpoint.weights.copy()
    weights[20, 3] += 0.05
    return dataclasses.replace(checkpoint, weights=weights)


def break_bias(checkpoint: Checkpoint) -> Checkpoint:
    return dataclasses.replace(checkpoint, bias=checkpoint.bias + np.linspace(0, 0.001, 10, dtype=np.float32))


def break_normalisation(checkpoint: Checkpoint) -> Checkpoint:
    return dataclasses.replace(checkpoint, mean=checkpoint.mean / np.float32(255))


def swap_classes(checkpoint: Checkpoint) -> Checkpoint:
    order = [1, 0, *range(2, 10)]
    return dataclasses.replace(checkpoint, weights=checkpoint.weights[:, order], bias=checkpoint.bias[order])


def break_with_nan(checkpoint: Checkpoint) -> Checkpoint:
    return dataclasses.replace(checkpoint, bias=np.full_like(checkpoint.bias, np.nan))


GROSS = [break_normalisation, swap_classes]
DAMAGES = [(name, damage) for name in FLOATS for damage in (break_weight, break_bias, *GROSS, break_with_nan)]


@pytest.mark.parametrize(("format", "damage"), [*DAMAGES, *(("onnx-int8", damage) for damage in GROSS)])
def test_a_wrong_model_is_never_kept(
    format: str,  # noqa: A002
    damage: Callable[[Checkpoint], Checkpoint],
    checkpoint: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The file holds another model than the one that it is compared with."""
    module = FORMATS[format].load()
    prepare = module.prepare
    monkeypatch.setattr(module, "prepare", lambda checkpoint: prepare(damage(checkpoint)))
    path = tmp_path / "model"
    path.write_bytes(b"the old file")
    with pytest.raises(ParityError, match=r"(the file was not kept|or NaN)$"):
        export(checkpoint, format, path)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("model", b"the old file")]


@pytest.mark.parametrize("format", list(FILES))
def test_one_corrupted_weight_is_never_kept(
    format: str,  # noqa: A002
    checkpoint: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The numbers are right, and one changes a little on its way into the file: of int8 by the least step."""
    module = FORMATS[format].load()
    write = module.write

    def corrupted(numbers: Any, metadata: Metadata, target: Any) -> bytes:
        weights = numbers.weights.copy()
        weights[20, 3] += 1 if weights.dtype == np.uint8 else weights.std() / 10
        data: bytes = write(dataclasses.replace(numbers, weights=weights), metadata, target)
        return data

    monkeypatch.setattr(module, "write", corrupted)
    with pytest.raises(
        ParityError, match=r"expected probabilities within 1e-05 of its own numbers' and the same labels"
    ):
        export(checkpoint, format, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_depends_on_the_batch(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Classifier.probabilities
    monkeypatch.setattr(
        Classifier, "probabilities", lambda self, pixels: right(self, pixels) + (1e-4 if len(pixels) == 1 else 0)
    )
    with pytest.raises(ParityError, match="expected probabilities within 1e-05 of those of a larger batch"):
        export(checkpoint, "onnx", tmp_path / "model.onnx")


def test_the_message_says_how_much_and_where(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = FORMATS["onnx"].load()
    prepare = module.prepare
    monkeypatch.setattr(module, "prepare", lambda checkpoint: prepare(swap_classes(checkpoint)))
    expected = (
        r"expected probabilities within 1e-05 of the trained model's and the same labels, "
        r"found a difference of 0\.\d+ for golden example \d+, label '[01]', "
        r"and \d+ labels that differ, first for golden example 0"
    )
    with pytest.raises(ParityError, match=expected):
        export(checkpoint, "onnx", tmp_path / "model.onnx")


@pytest.mark.parametrize("format", list(FILES))
def test_labels_that_read_back_in_another_order(
    format: str,  # noqa: A002
    checkpoint: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = FORMATS[format].load()
    write = module.write

    def swapped(numbers: Any, metadata: Metadata, target: Any) -> bytes:
        data: bytes = write(numbers, metadata._replace(labels=metadata.labels[::-1]), target)
        return data

    monkeypatch.setattr(module, "write", swapped)
    with pytest.raises(ParityError, match="expected the metadata to read back as written"):
        export(checkpoint, format, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_golden_examples_of_another_model_are_found(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """The checkpoint's own weights and its golden probabilities disagree."""
    changed = dataclasses.replace(checkpoint, golden_probabilities=checkpoint.golden_probabilities[::-1])
    with pytest.raises(ParityError, match="for golden example"):
        export(changed, "onnx", tmp_path / "model.onnx")


def test_a_tolerance_that_float32_cannot_meet(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(ParityError, match="expected probabilities within 1e-12"):
        export(checkpoint, "onnx", tmp_path / "model.onnx", tolerance=1e-12)


@pytest.mark.parametrize("tolerance", [0.0, 1.0, -1.0, float("nan")])
def test_tolerances_out_of_range(checkpoint: Checkpoint, tmp_path: Path, tolerance: float) -> None:
    with pytest.raises(ExportError, match=re.escape(f"expected a tolerance above 0 and below 1, found {tolerance!r}")):
        export(checkpoint, "onnx", tmp_path / "model.onnx", tolerance=tolerance)


def test_an_unknown_format(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(
        ExportError,
        match=r"expected a format out of onnx, onnx-int8, ort, torchscript, pt2, .*, found 'coreml'",
    ):
        export(checkpoint, "coreml", tmp_path / "model")


@pytest.mark.parametrize("name", list(FILES))
def test_the_proof_goes_along(name: str, checkpoint: Checkpoint, exported: dict[str, Path], tmp_path: Path) -> None:
    proof = export(checkpoint, name, tmp_path / "model").proof
    assert proof
    assert (proof.images, proof.certain > 0.98) == (10 + 1024, True)
    metadata = FORMATS[name].load().open_artefact(exported[name]).metadata
    assert metadata.provenance["proof"] == proof.to_json()


def test_digest_and_size_are_the_files(checkpoint: Checkpoint, tmp_path: Path) -> None:
    report = export(checkpoint, "onnx", tmp_path / "model.onnx")
    assert report.size == report.path.stat().st_size
    assert report.digest == runtime.load(report.path).info()["digest"]
    assert 0 < report.parity.max_difference < 1e-5
    assert (report.parity.images, report.parity.label_flips) == (10 + 1024 + 2 + 255, 0)


@pytest.mark.spawns
@pytest.mark.parametrize("name", ["onnx", "safetensors"])
def test_a_missing_extra(name: str, checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(checkpoint, tmp_path / "model.safetensors")
    code = "import kit\nkit.main(['export', 'model.safetensors'])"
    result = run_python(code, cwd=tmp_path, without=[name, "torch"])
    assert (result.returncode, result.stdout) == (1, "")
    assert f"needs {name}, which is not installed: pip install 'softmax-kit[export]'\n" in result.stderr
    assert result.stderr.count("\n") == 1

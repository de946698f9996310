"""Every artefact against the trained model, on real images; and the gate that keeps wrong files from being written."""

import dataclasses
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from export import ExportError, ParityError, export
from export.arithmetic.fold import fold
from export.formats import FORMATS
from export.gate.parity import answers, reference_probabilities
from runtime import Classifier
from runtime.artefact import INPUT, Metadata
from trainer import Checkpoint, Dataset, Fit, fit

Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

# The model in torch normalises pixels and then multiplies, an artefact multiplies folded weights: float32 rounds
# otherwise in each. `pytest -rP` on this file prints what is seen.
TOLERANCE = 1e-5
FLOATS = [name for name, kind in FORMATS.items() if kind.agreement == 1]


def opened(name: str) -> Callable[[dict[str, Path]], Run]:
    """Open the artefact of a format as `export` does to check it."""

    def through(files: dict[str, Path]) -> Run:
        run: Run = FORMATS[name].load().open_artefact(files[name]).probabilities
        return run

    through.__name__ = name
    return through


class Flatten(OpRun):
    """Flatten as the standard has it; the evaluator's own cannot take a batch of 0."""

    def _run(self, x: NDArray[np.float32], axis: int = 1) -> tuple[NDArray[np.float32]]:
        return (x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:])),)


def through_reference(files: dict[str, Path]) -> Run:
    proto = onnx.load(files["onnx"])

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        evaluator = ReferenceEvaluator(proto, new_ops=None if len(images) else [Flatten])
        outputs = evaluator.run(None, {INPUT: images})
        assert isinstance(outputs, list)
        return np.asarray(outputs[0])

    return run


RUNNERS = [*map(opened, FLOATS), through_reference]


def assert_parity(run: Run, fitted: Fit, images: NDArray[np.uint8]) -> None:
    found, expected = run(images), fitted.model.probabilities(torch.from_numpy(images)).numpy()
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    if len(images):
        print(f"{len(images)} images, largest difference in probability {np.abs(found - expected).max():.1e}")
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_array_equal(found.argmax(axis=1), expected.argmax(axis=1))


@pytest.fixture(scope="session")
def fashion_fit(fashion: Dataset) -> Fit:
    return fit(fashion)


@pytest.fixture(scope="session")
def fashion_exported(fashion_fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("fashion")
    return {name: export(fashion_fit.checkpoint, name, folder / name).path for name in FORMATS}


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_whole_test_split_of_digits(
    runner: Callable[..., Run], exported: dict[str, Path], digits_fit: Fit, digits: Dataset
) -> None:
    assert_parity(runner(exported), digits_fit, digits.test.images.numpy())


@pytest.mark.parametrize("runner", RUNNERS)
def test_all_test_images_of_fashion_mnist(
    runner: Callable[..., Run], fashion_exported: dict[str, Path], fashion_fit: Fit, fashion: Dataset
) -> None:
    assert_parity(runner(fashion_exported), fashion_fit, fashion.test.images.numpy())


@pytest.mark.parametrize("batch", [0, 1, 2, 257])
@pytest.mark.parametrize("runner", RUNNERS)
def test_batch_sizes(
    runner: Callable[..., Run], batch: int, exported: dict[str, Path], digits_fit: Fit, digits: Dataset
) -> None:
    assert_parity(runner(exported), digits_fit, digits.test.images.numpy()[:batch])


@pytest.mark.parametrize("kind", ["black", "white", "random"])
@pytest.mark.parametrize("runner", RUNNERS)
def test_images_that_no_data_set_holds(
    runner: Callable[..., Run], kind: str, exported: dict[str, Path], digits_fit: Fit
) -> None:
    images = {
        "black": np.zeros((1, 8, 8, 1), np.uint8),
        "white": np.full((1, 8, 8, 1), 255, np.uint8),
        "random": np.random.default_rng(7).integers(0, 256, (500, 8, 8, 1), np.uint8),
    }[kind]
    assert_parity(runner(exported), digits_fit, images)


@pytest.mark.parametrize("format", FLOATS)
def test_colour_images(format: str, tiny: Dataset, tmp_path: Path) -> None:  # noqa: A002
    """The channels have different statistics, so that a fold over the wrong axis shows."""
    images = tiny.train.images[:] // torch.tensor([1, 2, 4], dtype=torch.uint8)
    split = dataclasses.replace(tiny.train, images=images)
    fitted = fit(dataclasses.replace(tiny, train=split, test=split))
    files = {format: export(fitted.checkpoint, format, tmp_path / "model").path}
    assert_parity(opened(format)(files), fitted, images.numpy())


def test_the_reference_is_torchs_model_in_double_precision(checkpoint: Checkpoint, digits: Dataset) -> None:
    images = digits.test.images[:]
    linear = torch.nn.Linear(64, 10).double()
    linear.weight.data = torch.from_numpy(checkpoint.weights.T.copy()).double()
    linear.bias.data = torch.from_numpy(checkpoint.bias.copy()).double()
    features = (images.double() - float(checkpoint.mean[0])) / float(checkpoint.std[0])
    with torch.no_grad():
        expected = torch.softmax(linear(features.flatten(1)), dim=1).numpy()
    np.testing.assert_allclose(reference_probabilities(checkpoint, images.numpy()), expected, rtol=1e-12, atol=1e-15)


def test_folding_changes_no_logit(checkpoint: Checkpoint, digits: Dataset) -> None:
    weights, bias = fold(checkpoint)
    pixels = digits.test.images.numpy().reshape(360, 64).astype(np.float64)
    expected = ((pixels - checkpoint.mean) / checkpoint.std) @ checkpoint.weights.astype(np.float64) + checkpoint.bias
    np.testing.assert_allclose(pixels @ weights + bias, expected, rtol=0, atol=1e-12)


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


@pytest.mark.parametrize("format", list(FORMATS))
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


def test_answers_come_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.gate.parity.BLOCK", 4)
    images = np.arange(10, dtype=np.uint8)[:, None, None, None]
    seen: list[int] = []

    def answer(block: NDArray[np.uint8]) -> NDArray[np.float64]:
        seen.append(len(block))
        return block[:, :, 0, 0].astype(np.float64)

    np.testing.assert_array_equal(answers(answer, images)[:, 0], np.arange(10))
    assert seen == [4, 4, 2]
    assert answers(answer, images[:0]).shape == (0, 1)


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


@pytest.mark.parametrize("format", list(FORMATS))
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
        ExportError, match="expected a format out of onnx, onnx-int8, ort, torchscript, pt2, found 'tflite'"
    ):
        export(checkpoint, "tflite", tmp_path / "model")

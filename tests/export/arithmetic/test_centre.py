"""Images of low contrast: no sound model is refused for rounding, and what the centred numbers promise holds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

import runtime
from export import export
from export.arithmetic.bound import PIXELS, prove
from export.arithmetic.centre import (
    LARGEST_ERROR,
    Centred,
    by_feature,
    centred_on,
    largest_sums,
    rounding_error,
)
from export.arithmetic.fold import Folded, fold, prepare
from export.formats import FORMATS
from export.formats.onnx_int8 import prepare as prepare_int8
from tests.formats import FILES
from trainer import Checkpoint, FitConfig, Split, fit
from trainer.data.dataset import Dataset

FAINT = [(128, 4, 3, 32, 256), (254, 0.5, 3, 32, 256), (135, 0.3, 3, 32, 16), (5, 0.4, 1, 16, 16), (66, 0.5, 1, 32, 64)]


def trained(mean: float, deviation: float, channels: int, side: int, batch_size: int, seed: int = 0) -> Checkpoint:
    """Fit to 120 images of three classes with this mean and standard deviation of the pixels, with the defaults."""
    rng, targets = np.random.default_rng(seed), np.arange(120) % 3
    classes = rng.normal(0, 0.5, (3, side, side, channels))
    values = mean + deviation * (classes[targets] + rng.normal(0, 1, (120, side, side, channels)))
    images = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    train, test = Split.of(images[:90], targets[:90]), Split.of(images[90:], targets[90:])
    data = Dataset(name="faint", labels=("a", "b", "c"), train=train, test=test)
    return fit(data, FitConfig(batch_size=batch_size, device="cpu", calibrate=False)).checkpoint


@pytest.fixture(scope="module", params=FAINT, ids=str)
def faint(request: pytest.FixtureRequest) -> Checkpoint:
    return trained(*request.param)


@pytest.fixture(scope="module")
def centred() -> tuple[Checkpoint, Centred]:
    checkpoint = trained(*FAINT[2])
    numbers = prepare(checkpoint)
    assert isinstance(numbers, Centred)
    return checkpoint, numbers


def corners(features: int) -> NDArray[np.uint8]:
    """Random images, black, white, and halves of each: uint8 [N, D]."""
    rng = np.random.default_rng(1)
    extreme = rng.integers(0, 2, (200, features)).astype(np.uint8) * 255
    return np.concatenate(
        [extreme, rng.integers(0, 256, (200, features), np.uint8), extreme[:1] * 0, extreme[:1] | 255]
    )


@pytest.mark.parametrize("name", list(FILES))
def test_a_sound_model_is_exported(name: str, faint: Checkpoint, tmp_path: Path) -> None:
    report = export(faint, name, tmp_path / "model")
    assert report.parity.max_difference < 1e-5 or FORMATS[name].agreement < 1


@pytest.mark.slow
def test_none_of_two_hundred_models_is_refused_for_rounding(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    for seed in range(200):
        mean, deviation = rng.uniform(5, 250), float(np.exp(rng.uniform(np.log(0.3), np.log(60))))
        channels, side, size = (int(rng.choice(values)) for values in ([1, 3], [16, 32], [16, 32, 64, 128, 256]))
        checkpoint = trained(mean, deviation, channels, side, size, seed)
        for name in ("onnx", "onnx-int8"):
            export(checkpoint, name, tmp_path / "model")


def test_what_rounds_little_is_written_as_before(checkpoint: Checkpoint, tmp_path: Path) -> None:
    numbers = prepare(checkpoint)
    assert isinstance(numbers, Folded)
    assert prepare_int8(checkpoint).centre is None
    assert runtime.load(export(checkpoint, "onnx", tmp_path / "m.onnx").path).metadata.version == "1.1"


@pytest.mark.parametrize("name", ["onnx", "onnx-int8", "ort"])
def test_the_centre_is_in_the_file(name: str, centred: tuple[Checkpoint, Centred], tmp_path: Path) -> None:
    checkpoint, _ = centred
    opened = runtime.load(export(checkpoint, name, tmp_path / "m").path)
    assert opened.metadata.version == "2.0"
    np.testing.assert_array_equal(opened.metadata.centre, np.rint(checkpoint.mean))
    assert opened.selftest() <= opened.metadata.golden.tolerance


@pytest.mark.parametrize("name", ["onnx", "onnx-int8"])
@pytest.mark.parametrize("opset", [13, 17, 18, 21])
def test_every_opset(name: str, opset: int, centred: tuple[Checkpoint, Centred], tmp_path: Path) -> None:
    written = export(centred[0], name, tmp_path / "m", opset=opset)
    assert onnx.load(written.path).opset_import[0].version == opset


def test_a_centre_of_each_pixel(centred: tuple[Checkpoint, Centred], tmp_path: Path) -> None:
    checkpoint, _ = centred
    rng = np.random.default_rng(0)
    mean, std = checkpoint.scaling()
    spread = rng.uniform(0.5, 2, mean.shape)
    changed = replace(
        checkpoint,
        centre=(mean + rng.normal(0, 20, mean.shape)).astype(np.float32),
        scale=(std * spread).astype(np.float32),
        golden_probabilities=checkpoint.golden_probabilities,
    )
    shift = ((changed.scaling()[0] - mean)[:, None] * checkpoint.weights / std[:, None]).sum(axis=0)
    changed = replace(
        changed,
        weights=(checkpoint.weights * spread[:, None]).astype(np.float32),
        bias=(checkpoint.bias + shift).astype(np.float32),
    )
    opened = runtime.load(export(changed, "onnx", tmp_path / "m.onnx", tolerance=1e-3).path)
    assert opened.metadata.centre is not None
    assert opened.metadata.centre.shape == checkpoint.image.shape


def test_the_leading_sums_are_exact(centred: tuple[Checkpoint, Centred]) -> None:
    _, numbers = centred
    images = corners(len(numbers.rest))
    x = images - by_feature(numbers.centre, len(numbers.rest))
    exact = x.astype(np.int64) @ numbers.multiples.astype(np.int64)
    assert np.abs(exact).max() < 2**24
    for order in (slice(None), slice(None, None, -1)):
        sums = x[:, order].astype(np.float32) @ numbers.multiples[order]
        np.testing.assert_array_equal(sums, exact)
    assert np.array_equal(numbers.multiples, np.rint(numbers.multiples))
    assert float(np.log2(numbers.step)).is_integer()
    assert np.abs(numbers.rest).max() <= numbers.step / 2


def test_the_numbers_are_the_models(centred: tuple[Checkpoint, Centred]) -> None:
    checkpoint, numbers = centred
    weights, bias = fold(checkpoint)
    arithmetic = numbers.arithmetic()
    np.testing.assert_allclose(arithmetic.weights, weights, atol=float(numbers.step) * 2**-24)
    images = checkpoint.sample_images.reshape(len(checkpoint.sample_images), -1).astype(np.float64)
    expected = images @ weights + bias
    np.testing.assert_allclose(images @ arithmetic.weights + arithmetic.bias, expected, atol=1e-4)


def test_the_proof_holds(centred: tuple[Checkpoint, Centred]) -> None:
    """Logits in float32, in two orders, against those in float64; what is missing in all logits is the leader's."""
    _, numbers = centred
    arithmetic, images = numbers.arithmetic(), corners(len(numbers.rest))
    x, rows = images.astype(np.float64), np.arange(len(images))
    bound, own = arithmetic.rounding(x), x @ arithmetic.weights + arithmetic.bias
    assert (bound <= arithmetic.largest_rounding(PIXELS) * (1 + 1e-12)).all()
    leader = own.argmax(axis=1)
    for order in (slice(None), slice(None, None, -1)):
        features = (x - arithmetic.centre)[:, order].astype(np.float32)
        sums = features @ numbers.multiples[order]
        behind = (sums - sums.max(axis=1, keepdims=True)) * numbers.step
        found = behind + (features @ numbers.rest[order] + numbers.bias)
        errors = np.abs(found - own - (found - own)[rows, leader][:, None])
        assert (errors <= bound + bound[rows, leader][:, None] + 1e-9).all()


def test_the_proof_is_better_than_without_a_centre(centred: tuple[Checkpoint, Centred]) -> None:
    checkpoint, numbers = centred
    weights, bias = fold(checkpoint)
    plain = Folded(weights=weights.astype(np.float32), bias=bias.astype(np.float32))
    images = corners(len(weights))
    before, after = (prove(weights, bias, one.arithmetic(), images) for one in (plain, numbers))
    assert before.logit_error is not None
    assert after.logit_error is not None
    assert after.logit_error < before.logit_error / 10
    assert before.certain < after.certain <= 1


def in_blocks(x: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """x·weights, one term after the other in blocks, and one block after the other: [N, D], [D] → [N]."""
    terms = (x * weights).reshape(len(x), -1, min(250, len(weights)))
    found: NDArray[np.float32] = terms.cumsum(axis=2)[:, :, -1].cumsum(axis=1)[:, -1]
    return found


@pytest.mark.parametrize("features", [100, 1000, 4000])
def test_the_estimate_is_near_what_is_seen(features: int) -> None:
    rng = np.random.default_rng(3)
    weights = rng.normal(0, 0.1, (features, 1)).astype(np.float32)
    x = rng.integers(0, 256, (300, features)).astype(np.float32)
    exact = x.astype(np.float64) @ weights.astype(np.float64)
    seen = float(np.sqrt(((in_blocks(x, weights[:, 0]) - exact[:, 0]) ** 2).mean())) * np.sqrt(2) / 4
    assert 0.2 < rounding_error(weights.astype(np.float64)) / seen < 5
    assert 0.5 < np.abs(exact).max() / largest_sums(weights.astype(np.float64)).max() < 1.5


def test_weights_of_any_size_are_split() -> None:
    rng, centre = np.random.default_rng(4), np.array([128], np.uint8)
    for size in (1e-30, 1e-3, 1.0, 1e3, 1e30):
        weights = rng.normal(0, size, (50, 3))
        numbers = centred_on(centre, weights, np.zeros(3))
        reach = np.abs(numbers.multiples).sum(axis=0).max() * 128
        assert 2**22 < reach < 2**24
        np.testing.assert_allclose(numbers.arithmetic().weights, weights, atol=float(numbers.step) * 2**-24)
    assert LARGEST_ERROR < 5e-6

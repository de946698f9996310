"""Weights in 8 bits: what the rounding promises, on a model of scikit-learn's and on awkward cases."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from export.arithmetic import quantise as module
from export.arithmetic.quantise import Quantised, quantise
from tests.export.arithmetic.regression import Digits, Floats


def integers(quantised: Quantised) -> NDArray[np.int64]:
    return quantised.weights.astype(np.int64) - 128


def exact(quantised: Quantised) -> tuple[Floats, Floats]:
    """The weights and bias that it stands for."""
    arithmetic = quantised.arithmetic()
    return arithmetic.weights, arithmetic.bias


def rms(error: Floats) -> float:
    return float(np.sqrt((error**2).mean()))


def nearest(weights: Floats) -> Floats:
    scale = np.abs(weights).max(axis=0) / 127
    rounded: Floats = scale * np.rint(weights / scale)
    return rounded


# A bias that takes up the mean error helps nearest rounding too, so both are baselines. Measured: 0.49, 0.43 and 0.42
# of nearest rounding's error, and 0.81, 0.72 and 0.70 of what such a bias leaves of it.
@pytest.mark.parametrize(("images", "of_nearest", "of_corrected"), [(27, 0.6, 0.95), (200, 0.5, 0.8), (1200, 0.5, 0.8)])
def test_the_logits_of_held_out_images(trained: Digits, images: int, of_nearest: float, of_corrected: float) -> None:
    sample, plain = trained.train[:images], nearest(trained.weights)
    corrected = trained.bias - sample.mean(axis=0) @ (plain - trained.weights)

    def error(weights: Floats, bias: Floats) -> float:
        return rms(trained.held_out @ weights + bias - trained.logits)

    found = error(*exact(quantise(trained.weights, trained.bias, sample)))
    assert found < of_nearest * error(plain, trained.bias)
    assert found < of_corrected * error(plain, corrected)


def test_neighbouring_pixels_make_good_what_the_others_lose(trained: Digits) -> None:
    """Digits enlarged to 32 × 32. Measured: 0.19 of nearest rounding's error; a descent from there has 0.31."""
    train, held_out = (
        np.kron(images.reshape(-1, 8, 8), np.ones((1, 4, 4), np.uint8)).reshape(-1, 1024)
        for images in (trained.train[:200], trained.held_out)
    )
    weights = np.random.default_rng(1).normal(0, 0.01, (1024, 10))
    folded, bias = exact(quantise(weights, np.zeros(10), train))
    plain = nearest(weights) - weights
    assert rms(held_out @ (folded - weights) + bias) < 0.25 * rms(held_out @ plain - train.mean(axis=0) @ plain)


def test_the_labels_of_held_out_images(trained: Digits) -> None:
    weights, bias = exact(quantise(trained.weights, trained.bias, trained.train))
    found = (trained.held_out @ weights + bias).argmax(axis=1)
    np.testing.assert_array_equal(found, trained.logits.argmax(axis=1))


def test_shapes_and_dtypes(trained: Digits) -> None:
    quantised = quantise(trained.weights, trained.bias, trained.train)
    found: list[NDArray[Any]] = [
        quantised.weights,
        quantised.scale,
        quantised.bias,
        quantised.arithmetic().weights,
        quantised.arithmetic().bias,
    ]
    assert [array.shape for array in found] == [(64, 10), (10,), (10,), (64, 10), (10,)]
    assert [array.dtype.name for array in found] == ["uint8", "float32", "float32", "float64", "float64"]


def test_integer_sums_give_the_folded_logits(trained: Digits) -> None:
    """As an artefact computes: exact sums, then scale and bias in float32."""
    quantised = quantise(trained.weights, trained.bias, trained.train)
    sums = trained.held_out.astype(np.int64) @ integers(quantised)
    found = sums.astype(np.float32) * quantised.scale + quantised.bias
    weights, bias = exact(quantised)
    assert found.dtype == np.float32
    # three roundings of float32, half an ulp each, of terms up to 30
    np.testing.assert_allclose(found, trained.held_out @ weights + bias, rtol=0, atol=1e-5)


def test_the_bias_takes_up_the_mean_error(trained: Digits) -> None:
    weights, bias = exact(quantise(trained.weights, trained.bias, trained.train))
    found = (trained.train @ weights + bias).mean(axis=0)
    expected = (trained.train @ trained.weights + trained.bias).mean(axis=0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)  # the bias is float32


def test_no_integer_can_be_changed_for_the_better(trained: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    """The objective as numpy's covariance has it: e'Ce + λ·e'e, with e in units of the scale."""
    monkeypatch.setattr(module, "PASSES", 50)
    quantised = quantise(trained.weights, trained.bias, trained.train)
    covariance = np.cov(trained.train.T, bias=True)
    covariance += module.RIDGE * (covariance.diagonal().mean() + 1) * np.eye(64)
    error = integers(quantised) - trained.weights / quantised.scale.astype(np.float64)
    slope, curvature = 2 * covariance @ error, covariance.diagonal()[:, None]
    for step in (-1, 1):
        better = step * slope + curvature < -1e-6 * curvature
        assert not (better & (np.abs(integers(quantised) + step) <= 127)).any()


def test_later_passes_lower_the_error(trained: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    def error() -> float:
        weights, bias = exact(quantise(trained.weights, trained.bias, trained.train))
        return rms(trained.train @ (weights - trained.weights) + bias - trained.bias)

    several = error()
    monkeypatch.setattr(module, "PASSES", 1)
    assert several < error()


def test_the_largest_weight_is_not_clipped_where_that_costs_more(trained: Digits) -> None:
    quantised = quantise(trained.weights, trained.bias, trained.train)
    np.testing.assert_array_equal(quantised.scale, (np.abs(trained.weights).max(axis=0) / 127).astype(np.float32))


def test_the_largest_weights_are_clipped_where_that_costs_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among thousands of weights a few are far from the others: a finer step for all is worth more."""
    weights = np.random.default_rng(0).standard_t(3, (16384, 4))
    sample = np.zeros((1, 16384), np.uint8)  # no pixel counts more than another

    def errors() -> Floats:
        folded, _ = exact(quantise(weights, np.zeros(4), sample))
        summed: Floats = ((folded - weights) ** 2).sum(axis=0)
        return summed

    found = errors()
    for share in module.SHARES:
        monkeypatch.setattr(module, "SHARES", (share,))
        assert (found <= errors()).all()
    monkeypatch.setattr(module, "SHARES", (1.0,))
    assert (found < errors()).all()


@pytest.mark.parametrize(("brightest", "share"), [(0, 0.5), (255, 1.0)])
def test_a_weight_is_clipped_where_its_pixel_hardly_counts(
    brightest: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RIDGE", 1e-12)  # a pixel that never varies in the sample counts for nothing
    weights = np.random.default_rng(0).uniform(-0.1, 0.1, (1000, 1))
    weights[0] = 1
    sample = np.array([[0] * 1000, [brightest] + [255] * 999], np.uint8)
    assert quantise(weights, np.zeros(1), sample).scale.tolist() == [np.float32(share / 127)]


def test_a_pixel_that_hardly_varies_in_the_sample_stays_near_its_weight() -> None:
    """Without the ridge it would be used to make good what the rounding of all others leaves."""
    generator = np.random.default_rng(0)
    weights = generator.normal(0, 0.01, (64, 10))
    sample = generator.integers(0, 256, (20, 64), np.uint8)
    sample[:, 63] = np.arange(20) % 2
    quantised = quantise(weights, np.zeros(10), sample)
    np.testing.assert_array_equal(integers(quantised)[63], np.rint(weights[63] / quantised.scale))


@pytest.mark.parametrize("kind", ["one image", "black", "white", "the same image often"])
def test_a_sample_in_which_nothing_varies_gives_the_nearest_integers(trained: Digits, kind: str) -> None:
    sample = {
        "one image": trained.train[:1],
        "black": np.zeros((5, 64), np.uint8),
        "white": np.full((5, 64), 255, np.uint8),
        "the same image often": np.repeat(trained.train[:1], 7, axis=0),
    }[kind]
    quantised = quantise(trained.weights, trained.bias, sample)
    weights, bias = exact(quantised)
    np.testing.assert_array_equal(integers(quantised), np.rint(trained.weights / quantised.scale.astype(np.float64)))
    expected = sample @ trained.weights + trained.bias
    np.testing.assert_allclose(sample @ weights + bias, expected, rtol=0, atol=1e-5)  # the bias is float32


def test_pixels_that_are_constant_in_the_sample_keep_the_nearest_integers(trained: Digits) -> None:
    sample = trained.train.copy()
    sample[:, ::2] = 77
    quantised = quantise(trained.weights, trained.bias, sample)
    expected = np.rint(trained.weights / quantised.scale.astype(np.float64))
    np.testing.assert_array_equal(integers(quantised)[::2], expected[::2])
    assert (integers(quantised)[1::2] != expected[1::2]).any()


def test_a_class_without_weights(trained: Digits) -> None:
    weights = trained.weights.copy()
    weights[:, 4] = 0
    quantised = quantise(weights, trained.bias, trained.train)
    assert (quantised.weights[:, 4] == 128).all()
    assert (quantised.scale[4], quantised.bias[4]) == (1, np.float32(trained.bias[4]))


def test_a_class_of_equal_weights(trained: Digits) -> None:
    quantised = quantise(np.full((64, 2), [0.25, -0.25]), np.zeros(2), trained.train)
    np.testing.assert_array_equal(integers(quantised), np.full((64, 2), [127, -127]))


def test_each_class_is_rounded_by_itself(trained: Digits) -> None:
    together = quantise(trained.weights, trained.bias, trained.train)
    alone = quantise(trained.weights[:, 3:4], trained.bias[3:4], trained.train)
    np.testing.assert_array_equal(alone.weights, together.weights[:, 3:4])
    np.testing.assert_array_equal(alone.scale, together.scale[3:4])


@pytest.mark.parametrize("exponent", [-100, 90])
def test_powers_of_two_change_the_scale_alone(trained: Digits, exponent: int) -> None:
    """Floating-point arithmetic is exact under them, so that nothing here depends on the weights' magnitude."""
    expected = quantise(trained.weights, trained.bias, trained.train)
    found = quantise(trained.weights * 2.0**exponent, trained.bias * 2.0**exponent, trained.train)
    np.testing.assert_array_equal(found.weights, expected.weights)
    np.testing.assert_array_equal(found.scale, np.ldexp(expected.scale, exponent))
    np.testing.assert_array_equal(found.bias, np.ldexp(expected.bias, exponent))


def test_equal_inputs_give_equal_outputs_and_stay_as_they_were(trained: Digits) -> None:
    weights, bias, sample = trained.weights.copy(), trained.bias.copy(), trained.train.copy()
    first = quantise(weights, bias, sample)
    second = quantise(np.asfortranarray(weights), bias, sample.reshape(-1, 8, 8, 1))
    for name in ("weights", "scale", "bias"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()
    np.testing.assert_array_equal(weights, trained.weights)
    np.testing.assert_array_equal(bias, trained.bias)
    np.testing.assert_array_equal(sample, trained.train)


def test_random_cases() -> None:
    generator = np.random.default_rng(0)
    for _ in range(60):
        pixels, classes, images = generator.integers(1, [150, 6, 40])
        weights = generator.standard_t(generator.integers(1, 5), (pixels, classes)) * 10.0 ** generator.integers(-9, 9)
        weights *= generator.random((pixels, classes)) < generator.random()
        sample = generator.integers(0, generator.integers(1, 257), (images, pixels)).astype(np.uint8)
        quantised = quantise(weights, generator.normal(size=classes), sample)
        assert quantised.weights.min() >= 1
        assert (quantised.scale >= np.finfo(np.float32).tiny).all()
        assert np.isfinite(quantised.scale).all()
        assert np.isfinite(quantised.bias).all()


def test_memory_grows_with_the_pixels_not_with_their_square() -> None:
    weights = np.random.default_rng(0).normal(0, 0.01, (2048, 2))
    sample = np.random.default_rng(1).integers(0, 256, (4, 2048), np.uint8)
    tracemalloc.start()
    quantise(weights, np.zeros(2), sample)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**21  # a matrix like the weights has 2¹⁵ bytes, one of 2048 × 2048 would have 2²⁵

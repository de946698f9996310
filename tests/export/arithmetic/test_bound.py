"""The proof against everything that might break it: exact fractions are the reference, float32 is summed in any order.

`pytest -rP` on this file prints how near the bounds what was seen comes.
"""

import dataclasses
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.arithmetic.bound import FLOAT32_ROUNDING, SOFTMAX, Arithmetic, prove
from export.arithmetic.fold import fold
from runtime.session import open_session
from tests.export.arithmetic.rounding import (
    CLASSES,
    WEIGHTS,
    Exact,
    Floats,
    Images,
    Reals,
    as_float32,
    as_int8,
    cancelling,
    exact_logits,
    exactly,
    float32,
    float32_logits,
    images_to_break_it,
    int8_logits,
    logit_error_of,
    near_the_middle,
    near_ties,
    normal,
    quantised,
    softmax,
    sparse,
)
from trainer import Checkpoint


def prove_each(weights: Reals, bias: Reals, artefact: Arithmetic, images: Images) -> tuple[float, NDArray[np.bool_]]:
    """The bound for all images, and of which of them the label is certain."""
    certain = [prove(weights, bias, artefact, image[None]).certain == 1 for image in images]
    proof = prove(weights, bias, artefact, images)
    assert proof.certain == np.mean(certain)
    return logit_error_of(proof), np.array(certain)


def assert_holds(logit_error: float, certain: NDArray[np.bool_], exact: Exact, found: dict[str, Floats]) -> float:
    """No logit is off by more than was proved, and no label that was proved differs. Returns the largest error seen."""
    labels, ordered = exact.argmax(axis=1), np.sort(exact, axis=1)
    assert (ordered[:, -1] > ordered[:, -2])[certain].all(), "an exact tie was called certain"
    worst = Fraction(0)
    for name, logits in found.items():
        assert logits.dtype == np.float32
        worst = max(worst, np.abs(exactly(logits) - exact).max())
        assert worst <= Fraction(logit_error), name
        for values in (logits, softmax(logits)):
            np.testing.assert_array_equal(values.argmax(axis=1)[certain], labels[certain], err_msg=name)
    return float(worst)


@pytest.mark.parametrize("pixels", [1, 3, 64])
@pytest.mark.parametrize("make", WEIGHTS)
def test_no_order_of_summation_breaks_it(make: Callable[..., Reals], pixels: int) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        weights = make(rng, (pixels, CLASSES))
        bias = near_the_middle(rng, weights)
        artefact = as_float32(weights, bias)
        images = images_to_break_it(rng, artefact.weights - weights)
        error, certain = prove_each(weights, bias, artefact, images)
        seen = assert_holds(error, certain, exact_logits(images, weights, bias), float32_logits(images, artefact))
        print(f"{make.__name__}, {pixels} pixels: error {seen:.1e} of {error:.1e}, {certain.mean():.0%} of labels")


@pytest.mark.parametrize("pixels", [1, 3, 64])
@pytest.mark.parametrize("make", [normal, cancelling, near_ties, sparse])
def test_no_int8_breaks_it(make: Callable[..., Reals], pixels: int) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        weights = make(rng, (pixels, CLASSES))
        bias = near_the_middle(rng, weights)
        artefact = as_int8(weights, bias)
        images = images_to_break_it(rng, artefact.weights - weights)
        error, certain = prove_each(weights, bias, artefact, images)
        seen = assert_holds(error, certain, exact_logits(images, weights, bias), int8_logits(images, weights, bias))
        print(f"{make.__name__}, {pixels} pixels: error {seen:.1e} of {error:.1e}, {certain.mean():.0%} of labels")


def test_there_is_an_image_with_the_error_that_is_proved() -> None:
    """A corner of the box: what is left to rounding is small beside what int8 does to the weights."""
    rng = np.random.default_rng(0)
    weights, bias = normal(rng, (64, CLASSES)), np.zeros(CLASSES)
    artefact = as_int8(weights, bias)
    images = images_to_break_it(rng, artefact.weights - weights)
    seen = np.abs(exact_logits(images, weights, bias) - exact_logits(images, artefact.weights, bias)).max()
    assert 0.999 < seen / logit_error_of(prove(weights, bias, artefact, images)) <= 1


def test_the_three_roundings_of_int8() -> None:
    """Conversion, scale and bias each round nearly as far as they can; the quantised weights are the trained ones."""
    rng = np.random.default_rng(0)
    levels = np.array([[127]] * 518 + [[9]])  # white: 255 · 65795, odd and above 2^24, halfway between two of float32
    scales = float32(rng.uniform(1, 1.001, 2000) / (255 * 65795))
    weights, bias = scales * levels, float32(rng.uniform(0, 1e-3, 2000))
    artefact = as_int8(weights, bias)
    np.testing.assert_array_equal(artefact.weights, weights)
    white = np.full((1, 519), 255, np.uint8)
    error = logit_error_of(prove(weights, bias, artefact, white))
    exact = exactly(scales) * (255 * 65795) + exactly(bias)
    for logits in int8_logits(white, weights, bias).values():
        seen = float(np.abs(exactly(logits[0]) - exact).max())
        print(f"error {seen:.3e}, proved {error:.3e}")
        assert error / 2 < seen <= error


UNLUCKY = 8192


def unlucky(lead: int) -> tuple[Reals, Reals, Images]:
    """Two classes that are driven towards each other, and past, at every step of a sum that starts with the bias.

    The first class adds a bit less than u to a number above 1, which rounds down; the second a bit more, which rounds
    up, to 2u. lead: of the first class before any rounding, even, in units of u; it loses 2u a pixel.
    """
    u = FLOAT32_ROUNDING
    weights = np.tile([u * (1 - 2**-20), u * (1 + 2**-20)], (UNLUCKY, 1))
    return weights, np.array([1 + lead * u, 1.0]), np.ones((1, UNLUCKY), np.uint8)


@pytest.mark.parametrize(("lead", "certain"), [(2, 0), (UNLUCKY, 0), (2 * UNLUCKY - 2, 0), (2.02 * UNLUCKY, 1)])
def test_the_worst_sum_there_is(lead: float, certain: int) -> None:
    """A label flips up to a lead of 2u a pixel, and is proved from 1 % above it."""
    weights, bias, image = unlucky(2 * round(lead / 2))
    artefact = as_float32(weights, bias)
    np.testing.assert_array_equal(artefact.weights, weights)
    terms = np.concatenate([bias[None], weights]).astype(np.float32)
    logits = np.add.accumulate(terms)[-1]
    exact = exact_logits(image, weights, bias)[0]
    assert exact[0] > exact[1]
    assert (logits[0] > logits[1]) == certain
    assert prove(weights, bias, artefact, image).certain == certain


def test_a_lit_pixel_and_the_bias_are_two_roundings() -> None:
    """Dark pixels are none: what they add is 0. Each pair of neighbouring logits is a model of two classes."""
    rng = np.random.default_rng(0)
    white, u = 255, FLOAT32_ROUNDING
    weights, bias = float32(rng.uniform(4120, 4124, 20_000)), float32(rng.uniform(0, 100, 20_000))
    logits = weights * white + bias  # exact in float64, from 2^20 on
    order = logits.argsort()
    weights, bias, logits = weights[order], bias[order], logits[order]
    found = weights.astype(np.float32) * np.float32(white) + bias.astype(np.float32)

    def proved(first: int, second: int) -> bool:
        both = np.zeros((100, 2))
        both[42] = weights[[first, second]]
        image = np.zeros((1, 100), np.uint8)
        image[0, 42] = white
        biases = bias[[first, second]]
        return prove(both, biases, as_float32(both, biases), image).certain == 1

    flips = [
        (int(k), int(k) + near)
        for near in range(1, 6)
        for k in np.flatnonzero((found[near:] <= found[:-near]) & (logits[near:] - logits[:-near] > 2 * u * 2**20))
    ]
    assert len(flips) > 10
    assert not any(proved(*pair) for pair in flips)
    apart = np.searchsorted(logits, logits[:100] + 4.1 * u * 2**20).tolist()
    assert all(proved(k, other) for k, other in enumerate(apart))


def test_the_folding_rounds_too(checkpoint: Checkpoint) -> None:
    """Nothing else does here: an artefact with the folded weights, and no float32 in it."""
    rng = np.random.default_rng(0)
    for spread_of_pixels in (100, 1e-3):
        weights = rng.normal(0, 1, checkpoint.weights.shape).astype(np.float32)
        weights[-1] = -weights[:-1].sum(axis=0)
        changed = dataclasses.replace(
            checkpoint,
            weights=weights,
            mean=np.array([254.7], np.float32),
            std=np.array([spread_of_pixels], np.float32),
        )
        folded, bias = fold(changed)
        images = rng.integers(0, 256, (20, 64)).astype(np.uint8)
        features = (images.astype(object) - exactly(changed.mean)) / exactly(changed.std)
        exact = features @ exactly(weights) + exactly(changed.bias)
        seen = float(np.abs(exact_logits(images, folded, bias) - exact).max())
        proof = prove(folded, bias, Arithmetic(weights=folded, bias=bias, roundings=0), images)
        print(f"error {seen:.1e}, proved {logit_error_of(proof):.1e}")
        assert 0 < seen <= logit_error_of(proof) < 1e-9 * np.abs(exact).max()


def tiny_onnx(weights: Reals, bias: Reals, int8: bool) -> bytes:
    """An artefact's graph by hand, its logits among the outputs."""
    initializers = [numpy_helper.from_array(bias.astype(np.float32), "bias")]
    if int8:
        scales, levels = quantised(weights)
        arrays = {"weights": levels, "pixel_zero": np.uint8(0), "zero": np.uint8(128), "scales": scales}
        nodes = [
            helper.make_node("MatMulInteger", ["images", "weights", "pixel_zero", "zero"], ["sums"]),
            helper.make_node("Cast", ["sums"], ["features"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["features", "scales"], ["scaled"]),
            helper.make_node("Add", ["scaled", "bias"], ["logits"]),
        ]
    else:
        arrays = {"weights": weights.astype(np.float32)}
        nodes = [
            helper.make_node("Cast", ["images"], ["features"], to=TensorProto.FLOAT),
            helper.make_node("Gemm", ["features", "weights", "bias"], ["logits"]),
        ]
    initializers += [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    graph = helper.make_graph(
        [*nodes, helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1)],
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", len(weights)])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", len(bias)])
            for name in ("logits", "probabilities")
        ],
        initializers,
    )
    model = helper.make_model(graph, ir_version=7, opset_imports=[helper.make_opsetid("", 13)])
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("int8", [False, True])
def test_onnxruntime(int8: bool) -> None:
    """Classes so near to each other that rounding decides some labels, and is proved not to decide the others."""
    rng = np.random.default_rng(0)
    weights = near_ties(rng, (64, CLASSES))
    bias = near_the_middle(rng, weights)
    artefact = (as_int8 if int8 else as_float32)(weights, bias)
    images = rng.integers(0, 256, (300, 64)).astype(np.uint8)
    error, certain = prove_each(weights, bias, artefact, images)
    logits, probabilities = open_session(tiny_onnx(weights, bias, int8)).run(None, {"images": images})
    exact = exact_logits(images, weights, bias)
    seen = assert_holds(error, certain, exact, {"onnxruntime": logits})
    labels = exact.argmax(axis=1)
    np.testing.assert_array_equal(probabilities.argmax(axis=1)[certain], labels[certain])
    flips = (probabilities.argmax(axis=1) != labels).mean()
    print(f"error {seen:.1e}, proved {error:.1e}; {certain.mean():.1%} of labels, {flips:.1%} differ")
    assert 0.1 < certain.mean() <= 1 - flips < 1


def test_onnxruntimes_softmax_keeps_to_what_is_assumed() -> None:
    """Each probability within 2^-20 of itself, and in the logits' order from `SOFTMAX` on."""
    gaps = np.concatenate([np.geomspace(SOFTMAX, 80, 100_000), np.linspace(SOFTMAX, 80, 100_000)]).astype(np.float32)
    logits = np.zeros((len(gaps), 10), np.float32)
    logits[:, 3] = gaps
    graph = helper.make_graph(
        [helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1)],
        "softmax",
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10])],
    )
    model = helper.make_model(graph, ir_version=7, opset_imports=[helper.make_opsetid("", 13)])
    (found,) = open_session(model.SerializeToString()).run(None, {"logits": logits})
    exponentials = np.exp(logits.astype(np.float64) - gaps[:, None])
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    normal = expected > np.finfo(np.float32).tiny
    worst = np.abs(found / expected - 1)[normal].max()
    print(f"largest relative error of a probability: {worst / 2**-20:.2f} of 2^-20")
    assert worst < 2**-20
    assert (found[:, 3:4] > np.delete(found, 3, axis=1)).all()

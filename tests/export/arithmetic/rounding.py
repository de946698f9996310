"""Weights and images that are hard on a bound, exact logits, and float32 logits summed in many orders."""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.arithmetic.bound import Arithmetic, Proof

Reals = NDArray[np.float64]
Floats = NDArray[np.float32]
Images = NDArray[np.uint8]
Exact = NDArray[np.object_]

CLASSES = 4
INT8_ROUNDINGS = 3


def exactly(values: NDArray[Any]) -> Exact:
    result: Exact = np.vectorize(Fraction, otypes=[object])(values.astype(np.float64))
    return result


def exact_logits(images: Images, weights: NDArray[Any], bias: NDArray[Any]) -> Exact:
    result: Exact = images.astype(object) @ exactly(weights) + exactly(bias)
    return result


def float32(values: Reals) -> Reals:
    return values.astype(np.float32).astype(np.float64)


def as_float32(weights: Reals, bias: Reals) -> Arithmetic:
    return Arithmetic(weights=float32(weights), bias=float32(bias), roundings=len(weights) + 1)


def quantised(weights: Reals) -> tuple[Floats, NDArray[np.uint8]]:
    """A scale for each class, and weights in 1..255 with their zero at 128."""
    scales = np.maximum(np.abs(weights).max(axis=0) / 127, 1e-30).astype(np.float32)
    return scales, (np.rint(weights / scales).clip(-127, 127) + 128).astype(np.uint8)


def as_int8(weights: Reals, bias: Reals) -> Arithmetic:
    scales, levels = quantised(weights)
    exact = scales.astype(np.float64) * (levels.astype(np.float64) - 128)
    return Arithmetic(weights=exact, bias=float32(bias), roundings=INT8_ROUNDINGS)


def logit_error_of(proof: Proof) -> float:
    assert proof.logit_error is not None
    return proof.logit_error


def float32_logits(images: Images, artefact: Arithmetic) -> dict[str, Floats]:
    """The logits in float32, by ways to sum them up; some thirty of them."""
    x, weights, bias = images.astype(np.float32), artefact.weights.astype(np.float32), artefact.bias.astype(np.float32)
    biases = np.broadcast_to(bias, (len(x), 1, len(bias)))
    terms: Floats = np.concatenate([x[:, :, None] * weights, biases], axis=1)  # [N, D + 1, K]
    orders: dict[str, Floats] = {
        "forward": terms,
        "bias first": np.roll(terms, 1, axis=1),
        "small to large": np.take_along_axis(terms, np.abs(terms).argsort(axis=1), axis=1),
        "negative to positive": np.sort(terms, axis=1),
    }
    orders |= {
        f"permutation {seed}": terms[:, np.random.default_rng(seed).permutation(terms.shape[1])] for seed in range(3)
    }
    orders |= {f"{name}, reversed": order[:, ::-1] for name, order in orders.items()}
    sums = {name: np.add.accumulate(order, axis=1)[:, -1] for name, order in orders.items()}
    sums |= {f"{name}, pairwise": pairwise(order) for name, order in orders.items()}
    return sums | {
        "matmul": x @ weights + bias,
        "fused multiply-add": fused(x, weights, bias),
        "flushed to zero": flushed(x, weights, bias),
    }


def pairwise(terms: Floats) -> Floats:
    if terms.shape[1] == 1:
        return terms[:, 0]
    middle = terms.shape[1] // 2
    return pairwise(terms[:, :middle]) + pairwise(terms[:, middle:])


def fused(x: Floats, weights: Floats, bias: Floats) -> Floats:
    total = np.broadcast_to(bias, (len(x), len(bias)))
    for pixel, weight in zip(x.T, weights, strict=True):
        total = (pixel.astype(np.float64)[:, None] * weight.astype(np.float64) + total).astype(np.float32)
    return total


def flushed(x: Floats, weights: Floats, bias: Floats) -> Floats:
    """As processors do it that have no subnormal numbers."""
    total = np.broadcast_to(flush(bias), (len(x), len(bias)))
    for pixel, weight in zip(x.T, weights, strict=True):
        total = flush(total + flush(pixel[:, None] * flush(weight)))
    return total


def flush(values: Floats) -> Floats:
    return np.where(np.abs(values) < np.finfo(np.float32).tiny, np.float32(0), values)


def int8_logits(images: Images, weights: Reals, bias: Reals) -> dict[str, Floats]:
    """Sums in integers, then float32, as `as_int8` describes it."""
    scales, levels = quantised(weights)
    sums = (images.astype(np.int64) @ (levels.astype(np.int64) - 128)).astype(np.float32)
    shift = bias.astype(np.float32)
    at_once = sums.astype(np.float64) * scales.astype(np.float64) + shift.astype(np.float64)
    return {"int8": sums * scales + shift, "int8, fused multiply-add": at_once.astype(np.float32)}


def softmax(logits: Floats) -> Floats:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Floats = exponentials / exponentials.sum(axis=1, keepdims=True)
    return result


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> Reals:
    return rng.normal(0, 0.01, shape)


def spread(rng: np.random.Generator, shape: tuple[int, int]) -> Reals:
    return rng.choice([-1, 1], shape) * 10.0 ** rng.uniform(-12, 6, shape)


def cancelling(rng: np.random.Generator, shape: tuple[int, int]) -> Reals:
    """Large weights that take each other away on an even image, and a little that is left."""
    signs = np.where(np.arange(shape[0]) % 2, 1.0, -1.0)[:, None]
    return 1000 * signs + rng.normal(0, 1e-3, shape)


def near_ties(rng: np.random.Generator, shape: tuple[int, int]) -> Reals:
    """Classes of which float32 can hardly tell some from each other."""
    return rng.normal(0, 0.01, (shape[0], 1)) + rng.normal(0, 1, shape) * np.geomspace(1e-9, 1e-6, shape[1])


def halfway(rng: np.random.Generator, shape: tuple[int, int]) -> Reals:
    """As far from the next float32 as can be."""
    weights = rng.normal(0, 0.01, shape)
    return float32(weights) + np.spacing(weights.astype(np.float32)) * 0.4999


def subnormal(rng: np.random.Generator, shape: tuple[int, int]) -> Reals:
    return rng.normal(0, 1, shape) * 10.0 ** rng.uniform(-44, -36, shape)


def sparse(rng: np.random.Generator, shape: tuple[int, int]) -> Reals:
    return rng.normal(0, 1, shape) * (rng.random(shape) < 0.2)


WEIGHTS = [normal, spread, cancelling, near_ties, halfway, subnormal, sparse]


def near_the_middle(rng: np.random.Generator, weights: Reals) -> Reals:
    """Biases that bring all classes close to each other on a grey image, so that rounding can decide."""
    bias: Reals = -127 * weights.sum(axis=0) * (1 + rng.normal(0, 1e-6, weights.shape[1]))
    return bias


def images_to_break_it(rng: np.random.Generator, change: Reals) -> Images:
    """Random ones, corners of the box, of them those that the change of the weights is worst for, and even ones."""
    pixels = len(change)
    corners = np.where(change.T > 0, 255, 0)
    return np.concatenate(
        [
            rng.integers(0, 256, (6, pixels)),
            rng.integers(0, 256, (3, pixels)) * (rng.random((3, pixels)) < 0.3),
            rng.choice([0, 255], (3, pixels)),
            corners,
            255 - corners,
            [[level] * pixels for level in (0, 1, 127, 255)],
            127 + np.eye(pixels, dtype=int)[:2],
            255 * np.eye(pixels, dtype=int)[:2],
        ]
    ).astype(np.uint8)

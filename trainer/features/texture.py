"""Nodes of ONNX from images to their texture, two numbers of the whole image: contrast, and roughness beside it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import NodeProto

SIDE = 5  # of the squares that a deviation is taken of, at most
FLOOR = 10.0  # added to a variance, of pixels 0-255, and 1 to a difference
MIDDLE = 128
IMAGES, TEXTURE = "images", "texture"

Tensors = dict[str, NDArray[Any]]


def texture_nodes(shape: tuple[int, int, int]) -> tuple[list[NodeProto], Tensors]:
    """Return nodes from uint8 images [N, H, W, C] to `texture`, float32 [N, 2], and their constants.

    Its numbers are the logarithm of the mean standard deviation of small squares; and of the mean difference between
    neighbouring pixels, less that.

    shape: [H, W, C], H and W at least 2.
    """
    from onnx import TensorProto, helper

    height, width, channels = shape
    side, step = min(SIDE, height, width), max(2, math.isqrt(height * width) // 32)
    window: dict[str, Any] = {"kernel_shape": [side, side], "strides": [step, step]}
    right, down = [[-1, 1], [0, 0]], [[-1, 0], [1, 0]]
    tensors: Tensors = {
        "texture_middle": np.array(MIDDLE, np.float32),
        "texture_floor": np.array(FLOOR, np.float32),
        "texture_least": np.array(1, np.float32),
        "neighbours": np.array([[right], [down]] * channels, np.float32),  # [2C, 1, 2, 2]
        "of_channels": np.full((channels, 1), 1 / channels, np.float32),
        "of_differences": np.full((2 * channels, 1), 1 / channels, np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Transpose", [IMAGES], ["texture_planes"], perm=[0, 3, 1, 2]),
        node("Cast", ["texture_planes"], ["texture_floats"], to=TensorProto.FLOAT),
        node("Sub", ["texture_floats", "texture_middle"], ["texture_pixels"]),
        node("Mul", ["texture_pixels", "texture_pixels"], ["pixel_squares"]),
        node("AveragePool", ["pixel_squares"], ["square_means"], **window),
        node("AveragePool", ["texture_pixels"], ["means"], **window),
        node("Mul", ["means", "means"], ["mean_squares"]),
        node("Sub", ["square_means", "mean_squares"], ["rounded_variance"]),
        node("Relu", ["rounded_variance"], ["square_variance"]),
        node("Add", ["square_variance", "texture_floor"], ["floored"]),
        node("Sqrt", ["floored"], ["square_deviation"]),
        *_mean(node, "square_deviation", "of_channels", "mean_deviation"),
        node("Log", ["mean_deviation"], ["contrast"]),
        node("Conv", ["texture_pixels", "neighbours"], ["differences"], group=channels),
        node("Abs", ["differences"], ["steps"]),
        *_mean(node, "steps", "of_differences", "mean_step"),
        node("Add", ["mean_step", "texture_least"], ["step_and_least"]),
        node("Log", ["step_and_least"], ["roughness"]),
        node("Sub", ["roughness", "contrast"], ["relative_roughness"]),
        node("Concat", ["contrast", "relative_roughness"], [TEXTURE], axis=1),
    ]
    return nodes, tensors


def _mean(node: Any, source: str, weights: str, result: str) -> list[NodeProto]:
    """Average over the image, and over channels: [N, C, h, w] → [N, 1]."""
    return [
        node("GlobalAveragePool", [source], [f"{result}_pooled"]),
        node("Flatten", [f"{result}_pooled"], [f"{result}_flat"], axis=1),
        node("MatMul", [f"{result}_flat", weights], [result]),
    ]

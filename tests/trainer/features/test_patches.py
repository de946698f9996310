"""Filters learned from patches: the file, the numbers against numpy in float64, and what they are worth."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx import numpy_helper
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from trainer.data.mapped import MappedImages
from trainer.errors import DataError
from trainer.features.patches import FLOOR, IN_FLOAT, ITERATIONS, PATCHES, Window, build, choose_window

Array = NDArray[Any]
FEW = 8  # filters


class Digits(NamedTuple):
    """Images of scikit-learn's digits, uint8 [N, 8, 8, 1], and their classes [N]."""

    images: Tensor
    targets: Array


@pytest.fixture(scope="module")
def digits() -> Digits:
    found = load_digits()
    return Digits(torch.tensor((found.images * 15).astype(np.uint8)[..., None]), found.target)


@pytest.fixture
def few_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.features.patches.PATCHES", 2000)


def noise(count: int, *shape: int) -> Tensor:
    """Smooth random images, uint8 [count, H, W, C]."""
    values = np.random.default_rng(5).normal(size=(count, *shape))
    values = values.cumsum(1).cumsum(2)
    low, high = values.min((1, 2, 3), keepdims=True), values.max((1, 2, 3), keepdims=True)
    return torch.tensor((255 * (values - low) / (high - low)).astype(np.uint8))


def run(graph: bytes, images: Tensor) -> Array:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (features,) = session.run(["features"], {"images": images.numpy()})
    return np.asarray(features)


def constants_of(graph: bytes) -> dict[str, Array]:
    return {
        value.name: numpy_helper.to_array(value).astype(np.float64)
        for value in onnx.load_from_string(graph).graph.initializer
    }


def whitened(graph: bytes, images: Tensor, window: Window) -> Array:
    """Compute whitened components [N, h, w, D] in float64: Coates et al. divide a patch by its deviation, then whiten.

    The length of a row of the basis is the component's whitening, so the deviation needs no `shares`.
    """
    basis = constants_of(graph)["basis"]
    basis = basis.reshape(len(basis), -1)
    whitening = np.linalg.norm(basis, axis=1)
    views = sliding_window_view(images.numpy().astype(np.float64), (window.side, window.side), axis=(1, 2))
    patches = views[:, :: window.step, :: window.step]  # [N, h, w, C, k, k]
    patches = patches.reshape(*patches.shape[:3], -1)
    patches -= patches.mean(-1, keepdims=True)
    components = patches @ (basis / whitening[:, None]).T
    deviation = np.sqrt(FLOOR + (components**2).sum(-1, keepdims=True) / patches.shape[-1])
    return np.asarray(components / deviation * whitening)


def by_hand(graph: bytes, images: Tensor, window: Window) -> Array:
    """Compute the features from the file's constants, patch by patch, in float64."""
    constants = constants_of(graph)
    responses = whitened(graph, images, window) @ constants["weights"][:, :, 0, 0].T + constants["bias"]
    positive = np.maximum(responses, 0)  # [N, h, w, F]
    rows, columns = (cells(count) for count in positive.shape[1:3])
    means = [positive[:, top, left].mean((1, 2)) for top in rows for left in columns]
    return np.stack(means, axis=-1).reshape(len(images), -1)


def cells(positions: int) -> list[slice]:
    length = positions - positions // 4 * 3
    return [slice(start, start + length) for start in range(0, positions // 4 * 4, positions // 4)]


@pytest.mark.usefixtures("few_patches")
@pytest.mark.parametrize("shape", [(6, 6, 1), (7, 13, 3), (28, 28, 1), (32, 32, 3), (97, 70, 3), (128, 128, 1)])
def test_agrees_with_patches_one_by_one(shape: tuple[int, int, int]) -> None:
    images = noise(20, *shape)
    graph = build(images, filters=FEW)
    features = run(graph, images)
    assert features.shape == (20, 16 * FEW)
    assert features.dtype == np.float32
    expected = by_hand(graph, images, choose_window(*shape))
    np.testing.assert_allclose(features, expected, rtol=0, atol=2e-5)  # sums of float32
    np.testing.assert_allclose(run(graph, images[:1]), features[:1], rtol=0, atol=2e-5)
    assert (features.std(0) > 0).mean() > 0.5


@pytest.mark.usefixtures("few_patches")
def test_the_file(digits: Digits) -> None:
    model = onnx.load_from_string(build(digits.images, filters=FEW))
    onnx.checker.check_model(model, full_check=True)
    assert ([entry.version for entry in model.opset_import], model.ir_version) == ([13], 7)
    given, made = model.graph.input[0], model.graph.output[0]
    assert (given.name, given.type.tensor_type.elem_type) == ("images", onnx.TensorProto.UINT8)
    assert (made.name, made.type.tensor_type.elem_type) == ("features", onnx.TensorProto.FLOAT)
    assert [size.dim_param or size.dim_value for size in given.type.tensor_type.shape.dim] == ["N", 8, 8, 1]
    assert [size.dim_param or size.dim_value for size in made.type.tensor_type.shape.dim] == ["N", 16 * FEW]
    assert not any(node.domain or node.doc_string for node in model.graph.node)


@pytest.mark.usefixtures("few_patches")
def test_what_8_bits_need(digits: Digits) -> None:
    """Components of similar deviation, unit directions, and the names of the nodes before them."""
    data = build(digits.images, filters=FEW)
    deviations = whitened(data, digits.images, choose_window(8, 8, 1)).std((0, 1, 2))
    assert deviations.min() > 0.5  # at most 1; less where the damping is much of the variance
    assert deviations.max() < 1.1
    np.testing.assert_allclose(np.linalg.norm(constants_of(data)["weights"][:, :, 0, 0], axis=1), 1, rtol=1e-6)
    names = [node.name for node in onnx.load_from_string(data).graph.node]
    assert names[names.index("centre") : names.index("filter")] == IN_FLOAT


@pytest.mark.usefixtures("few_patches")
def test_equal_arguments_give_equal_bytes(digits: Digits) -> None:
    graph = build(digits.images, filters=FEW)
    threads = torch.get_num_threads()
    torch.set_num_threads(1 + threads % 2)
    try:
        assert build(digits.images, filters=FEW) == graph
    finally:
        torch.set_num_threads(threads)
    assert build(digits.images, filters=FEW, seed=1) != graph


@pytest.mark.usefixtures("few_patches")
def test_mapped_images_give_the_same_bytes(digits: Digits, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", digits.images.numpy())
    mapped = MappedImages(np.lib.format.open_memmap(tmp_path / "images.npy", mode="r"))
    assert build(mapped, filters=FEW) == build(digits.images, filters=FEW)


@pytest.mark.usefixtures("few_patches")
@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("count", [1, 3])
def test_constant_images_have_no_features(value: int, count: int) -> None:
    images = torch.full((count, 12, 9, 3), value, dtype=torch.uint8)
    np.testing.assert_array_equal(run(build(images, filters=FEW), images), 0)


@pytest.mark.usefixtures("few_patches")
def test_a_constant_image_is_the_same_at_any_brightness(digits: Digits) -> None:
    graph = build(digits.images, filters=FEW)
    dark, bright = (run(graph, torch.full((1, 8, 8, 1), value, dtype=torch.uint8)) for value in (0, 255))
    np.testing.assert_allclose(dark, bright, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 28, 1), (28, 5, 3), (1, 1, 1)])
def test_small_images_are_refused(shape: tuple[int, int, int]) -> None:
    message = f"expected images of at least 6 × 6 pixels, found {shape[0]} × {shape[1]}: "
    with pytest.raises(DataError, match=re.escape(message)):
        build(torch.zeros(4, *shape, dtype=torch.uint8))


@pytest.mark.usefixtures("few_patches")
def test_progress(digits: Digits) -> None:
    calls: list[tuple[int, int]] = []
    build(digits.images, filters=FEW, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, ITERATIONS) for done in range(1, ITERATIONS + 1)]


@pytest.mark.parametrize(
    ("shape", "window"),
    [
        ((6, 6, 1), (3, 1)),
        ((8, 8, 1), (3, 1)),
        ((28, 28, 1), (5, 1)),
        ((32, 32, 3), (6, 1)),
        ((64, 64, 3), (6, 2)),
        ((128, 128, 3), (8, 4)),
        ((256, 256, 3), (12, 8)),
        ((8, 256, 3), (3, 1)),
    ],
)
def test_patches_by_the_size_of_images(shape: tuple[int, int, int], window: tuple[int, int]) -> None:
    assert choose_window(*shape) == window


def test_worth_more_than_pixels_and_float32_is_enough(digits: Digits) -> None:
    assert PATCHES == 100_000
    train, held_out = slice(0, 900), slice(900, 1300)
    graph = build(digits.images[train], filters=32)
    features = run(graph, digits.images)
    pixels = digits.images.numpy().reshape(len(features), -1).astype(np.float64)

    def fit(values: Array) -> tuple[StandardScaler, LogisticRegression]:
        scaler = StandardScaler().fit(values[train])
        return scaler, LogisticRegression(C=0.1, max_iter=200).fit(
            scaler.transform(values[train]), digits.targets[train]
        )

    def accuracy(values: Array) -> float:
        scaler, model = fit(values)
        return float(model.score(scaler.transform(values[held_out]), digits.targets[held_out]))

    assert accuracy(features) > accuracy(pixels) + 0.01
    scaler, model = fit(features.astype(np.float64))
    exact = by_hand(graph, digits.images[held_out], choose_window(8, 8, 1))
    found, expected = (model.predict_proba(scaler.transform(values)) for values in (features[held_out], exact))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)  # what an export is held to

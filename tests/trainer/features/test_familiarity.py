"""The familiarity graph: its density against scikit-learn's and scipy's, what it tells apart, and its bytes."""

import dataclasses

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from scipy.spatial.distance import mahalanobis
from sklearn.decomposition import PCA

from trainer import Dataset, FeatureSettings, FitConfig, Split, fit, load_features
from trainer.data.features import Features
from trainer.decisions.deciding import familiarity
from trainer.features.density import DIRECTIONS, MOST_CLASSES, Density, density_of, rooted
from trainer.features.familiarity import familiarity_graph, scores, sees_features
from trainer.features.texture import FLOOR, texture_nodes


def features(count: int, size: int, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    targets = np.arange(count) % classes
    mixing = np.random.default_rng(99).normal(size=(size, size)) / np.sqrt(size)
    values = generator.normal(size=(count, size)) @ mixing + 3 * np.eye(classes, size)[targets] + 5
    return np.abs(values).astype(np.float32), targets


def test_the_distance_is_that_of_probabilistic_pca() -> None:
    """To each mean, by scipy, with the precision that scikit-learn gives for the features less the means."""
    values, targets = features(500, 30)
    found = density_of(values, targets)
    rooted_values = rooted(values, found.scale)
    means = np.stack([rooted_values[targets == place].mean(axis=0) for place in range(3)])
    pca = PCA(DIRECTIONS, svd_solver="full").fit(rooted_values - means[targets])
    others, _ = features(20, 30, seed=1)
    largest = pca.explained_variance_ * (499 / 500)
    residual = (((rooted_values - means[targets]) ** 2).sum() / 500 - largest.sum()) / (30 - DIRECTIONS)
    covariance = pca.components_.T @ np.diag(largest - residual) @ pca.components_ + residual * np.eye(30)
    precision = np.linalg.inv(covariance)
    due = [min(mahalanobis(row, mean, precision) ** 2 for mean in means) / 30 for row in rooted(others, found.scale)]
    np.testing.assert_allclose(found.distances(others), due, rtol=1e-6)


@pytest.mark.parametrize(
    ("count", "size", "classes"), [(10, 40, 2), (300, 1, 3), (200, 20, MOST_CLASSES + 1), (2, 5, 2)]
)
def test_any_numbers_of_images_features_and_classes(count: int, size: int, classes: int) -> None:
    found: Density = density_of(*features(count, size, classes))
    values, _ = features(50, size, classes, seed=2)
    assert np.isfinite(found.distances(values)).all()
    assert found.linear.shape[1] == (1 if classes > MOST_CLASSES else min(classes, count))


def test_features_that_do_not_vary() -> None:
    found = density_of(np.zeros((20, 4), np.float32), np.arange(20) % 2)
    assert np.isfinite(found.distances(np.ones((3, 4), np.float32))).all()


@pytest.mark.parametrize("count", [98, 99, 150, 1000])
def test_the_threshold_has_the_stated_false_alarms(count: int) -> None:
    """The ⌊(n + 1) / 100⌋-th smallest score, below which at most 1 % of such images are."""
    generator = np.random.default_rng(0)
    found = familiarity(generator.normal(size=count))
    if count < 99:
        assert found is None
        return
    assert found is not None
    drawn = [familiarity(generator.uniform(size=count)) for _ in range(400)]
    below = np.mean([one.threshold for one in drawn if one])  # of uniform scores the threshold is the share below it
    assert below == pytest.approx((count + 1) // 100 / (count + 1), rel=0.15)
    assert below < 0.0115


def noise(images: int, shape: tuple[int, ...]) -> Split:
    return Split.of(np.random.default_rng(0).integers(0, 256, (images, *shape), np.uint8), np.zeros(images, np.int64))


def test_it_tells_digits_from_others(digits: Dataset) -> None:
    graph = familiarity_graph(digits.train, None, seed=0)
    least = np.quantile(scores(graph, digits.test, None), 0.02)
    upside_down = Split(255 - digits.test.images[:] // 16 * 16, digits.test.targets)
    blank = Split.of(np.full((5, 8, 8, 1), 100, np.uint8), np.zeros(5, np.int64))
    for split, share in ((noise(200, (8, 8, 1)), 0.95), (upside_down, 0.9), (blank, 1.0)):
        assert (scores(graph, split, None) < least).mean() >= share


def test_the_same_bytes_for_the_same_images(digits: Dataset) -> None:
    one, other, third = (familiarity_graph(digits.train, None, seed=seed) for seed in (0, 0, 1))
    assert one.tobytes() == other.tobytes() != third.tobytes()
    model = onnx.load_model_from_string(one.tobytes())
    assert [value.name for value in model.graph.output] == ["familiarity"]
    assert model.opset_import[0].version == 13


def test_a_networks_own_features_are_used(digits: Dataset) -> None:
    values, _ = features(len(digits.train), 12, 10)
    mapped = torch.from_numpy(values)[:, None, None, :]
    train = Split(digits.train.images, digits.train.targets, mapped)
    net = Features("net.onnx", 12, np.ones(1, np.uint8), {})
    graph = familiarity_graph(train, net, seed=0)
    model = onnx.load_model_from_string(graph.tobytes())
    assert [value.name for value in model.graph.input] == ["images", "features"]
    due = -density_of(values, digits.train.targets.numpy()).distances(values[:50])  # their texture is among that seen
    some = train.subset(torch.arange(50))
    np.testing.assert_allclose(scores(graph, some, net), due, rtol=1e-4, atol=1e-5)
    assert sees_features(net)
    assert not sees_features(None)
    assert not sees_features(net._replace(name="patches"))


def test_in_a_fit_on_patches(digits: Dataset) -> None:
    data = load_features(digits, "patches", FeatureSettings(filters=8))
    checkpoint = fit(data, FitConfig(device="cpu", familiarity=True)).checkpoint
    assert checkpoint.familiarity is not None
    assert checkpoint.decision is not None
    assert checkpoint.decision.familiarity is not None
    least = checkpoint.decision.familiarity.threshold
    assert (scores(checkpoint.familiarity, data.test, data.features) >= least).mean() > 0.95
    assert (scores(checkpoint.familiarity, noise(50, (8, 8, 1)), data.features) >= least).mean() < 0.1
    assert dataclasses.replace(checkpoint, familiarity=None).version == 3


def test_texture_by_hand() -> None:
    """The deviation of squares of 5 × 5 pixels, at every second place, and differences, by numpy."""
    images = np.random.default_rng(0).integers(0, 256, (3, 9, 11, 3), np.uint8)
    nodes, tensors = texture_nodes((9, 11, 3))
    graph = helper.make_graph(
        nodes,
        "texture",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 9, 11, 3])],
        [helper.make_tensor_value_info("texture", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    answers: list[np.ndarray] = ReferenceEvaluator(helper.make_model(graph)).run(None, {"images": images})  # type: ignore[assignment]
    found = answers[0]
    exact = images.astype(np.float64)
    squares = np.lib.stride_tricks.sliding_window_view(exact, (5, 5), axis=(1, 2))[:, ::2, ::2]
    contrast = np.log(np.sqrt(squares.var(axis=(-2, -1)) + FLOOR).mean(axis=(1, 2, 3)))
    across, down = (np.abs(np.diff(exact, axis=axis))[:, :8, :10].mean(axis=(1, 2, 3)) for axis in (2, 1))
    np.testing.assert_allclose(found[:, 0], contrast, rtol=1e-5)
    np.testing.assert_allclose(found[:, 1], np.log(across + down + 1) - contrast, rtol=1e-4)

"""What a checkpoint carries beside the weights, against numpy and scikit-learn."""

import numpy as np
import sklearn.utils.class_weight
import torch

from trainer import Dataset, Fit, Model, Split
from trainer.provenance import balanced_class_weights, golden_examples, pixel_statistics


def test_pixel_statistics_are_numpys(tiny: Dataset) -> None:
    mean, std = pixel_statistics(tiny.train.images)
    pixels = tiny.train.images.numpy().astype(np.float64)
    np.testing.assert_allclose(mean.numpy(), pixels.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(std.numpy(), pixels.std(axis=(0, 1, 2)), rtol=1e-6)


def test_constant_pixels_have_the_standard_deviation_1() -> None:
    mean, std = pixel_statistics(torch.full((4, 2, 2, 1), 9, dtype=torch.uint8))
    assert (mean.tolist(), std.tolist()) == ([9.0], [1.0])


def test_golden_examples_are_held_out_images_of_different_classes(digits: Dataset, digits_fit: Fit) -> None:
    golden = digits_fit.checkpoint.golden_images
    assert digits_fit.checkpoint.progress is None
    assert golden.shape == (10, 8, 8, 1)
    expected = [digits.test.images[digits.test.targets == target][0].numpy() for target in range(10)]
    np.testing.assert_array_equal(golden, np.stack(expected))
    np.testing.assert_array_equal(
        digits_fit.checkpoint.golden_probabilities, digits_fit.model.probabilities(torch.from_numpy(golden)).numpy()
    )


def test_golden_examples_of_large_images_are_few() -> None:
    large = Split(torch.zeros(20, 200, 200, 3, dtype=torch.uint8), torch.arange(20))
    model = Model(weights=torch.zeros(20, 120_000), bias=torch.zeros(20), mean=torch.zeros(3), std=torch.ones(3))
    assert golden_examples(model, large)["golden_images"].shape == (2, 200, 200, 3)


def test_the_checkpoint_says_where_it_comes_from(digits_fit: Fit) -> None:
    provenance = digits_fit.checkpoint.provenance
    assert provenance["data"] == {"name": "digits", "train_images": 1437, "test_images": 360}
    assert provenance["figures"]["test_accuracy"] == digits_fit.history[-1].test_accuracy
    assert provenance["settings"]["batch_size"] == 32
    assert provenance["settings"]["device"] == "cpu"
    assert provenance["versions"]["torch"] == torch.__version__.partition("+")[0]


def test_balanced_class_weights_are_scikit_learns(tiny: Dataset) -> None:
    targets = torch.tensor([0] * 90 + [1] * 25 + [2] * 5)
    expected = sklearn.utils.class_weight.compute_class_weight("balanced", classes=np.arange(3), y=targets.numpy())
    found = balanced_class_weights(Split(tiny.train.images, targets), 3)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)

"""Fitting: settings, order, determinism, what a fit returns."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from trainer import ConfigError, Dataset, Fit, FitConfig, Split, TrainerError, fit
from trainer.training import Epoch, choose_device, cosine, golden_examples, minibatches, pixel_statistics

CPU = FitConfig(epochs=3, batch_size=32, device="cpu")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs: expected at least 1, found 0"),
        ({"batch_size": 0}, "batch_size: expected at least 1, found 0"),
        ({"lr": 0.0}, "lr: expected above 0, found 0.0"),
        ({"lr": float("nan")}, "lr: expected above 0, found nan"),
        ({"lr": float("inf")}, "lr: expected above 0, found inf"),
        ({"momentum": 1.0}, "momentum: expected 0 to below 1, found 1.0"),
        ({"weight_decay": -0.1}, "weight_decay: expected at least 0, found -0.1"),
        ({"seed": -1}, "seed: expected 0 to 2⁶³ - 1, found -1"),
        ({"device": "tpu"}, "device: expected one of auto, cpu, cuda, mps, found 'tpu'"),
    ],
)
def test_settings_out_of_range(settings: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        FitConfig(**settings)


def test_digits_are_learnt(digits_fit: Fit) -> None:
    assert digits_fit.history[-1].test_accuracy > 0.94
    assert digits_fit.history[-1].train_loss < digits_fit.history[0].train_loss
    assert [epoch.epoch for epoch in digits_fit.history] == list(range(1, 11))


def test_fashion_mnist_reaches_the_accuracy_of_a_linear_model(fashion: Dataset) -> None:
    assert fit(fashion).history[-1].test_accuracy >= 0.84


def test_the_same_seed_gives_the_same_weights(tiny: Dataset) -> None:
    first, second, other = (fit(tiny, dataclasses.replace(CPU, seed=seed)).model for seed in (5, 5, 6))
    assert torch.equal(first.weights, second.weights)
    assert torch.equal(first.bias, second.bias)
    assert not torch.equal(first.weights, other.weights)


def test_colour_images_are_learnt(tiny: Dataset) -> None:
    assert fit(tiny, dataclasses.replace(CPU, epochs=20)).history[-1].test_accuracy == 1


def test_step_sizes_are_those_of_torchs_cosine_schedule() -> None:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=50)
    expected = []
    for _ in range(50):
        expected.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    assert list(cosine(0.3, 50)) == pytest.approx(expected)


def test_callbacks_see_every_epoch_and_every_image(tiny: Dataset) -> None:
    epochs: list[Epoch] = []
    images: list[int] = []
    result = fit(tiny, CPU, on_epoch=epochs.append, on_batch=images.append)
    assert tuple(epochs) == result.history
    assert images == [32, 32, 32, 24] * 3


def test_an_infinite_loss_stops_with_what_to_change(tiny: Dataset) -> None:
    with pytest.raises(
        TrainerError, match=r"expected a finite loss, found \w+ in epoch \d: lower --lr, which was 1e\+38"
    ):
        fit(tiny, dataclasses.replace(CPU, lr=1e38))


def test_a_device_that_is_not_there() -> None:
    absent = "mps" if not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(ConfigError, match=f"expected {absent}, found none that torch .* can use: take --device cpu"):
        choose_device(absent)
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cuda", "mps", "cpu")


def test_minibatches_hold_every_image_once(tiny: Dataset) -> None:
    numbered = Split(tiny.train.images, torch.arange(120))
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    seen = [targets for _, targets in minibatches(numbered, 50, order)]
    assert [len(targets) for targets in seen] == [50, 50, 20]
    assert torch.equal(torch.cat(seen), order)
    for images, targets in minibatches(numbered, 50, order):
        assert torch.equal(images, tiny.train.images[targets])
    assert torch.equal(torch.cat([targets for _, targets in minibatches(numbered, 50)]), torch.arange(120))


def test_pixel_statistics_are_numpys(tiny: Dataset) -> None:
    mean, std = pixel_statistics(tiny.train.images)
    pixels = tiny.train.images.numpy().astype(np.float64)
    np.testing.assert_allclose(mean.numpy(), pixels.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(std.numpy(), pixels.std(axis=(0, 1, 2)), rtol=1e-6)


def test_pixels_that_never_vary_have_deviation_1() -> None:
    mean, std = pixel_statistics(torch.full((4, 2, 2, 1), 9, dtype=torch.uint8))
    assert (mean.tolist(), std.tolist()) == ([9.0], [1.0])


def test_golden_examples_are_held_out_images_of_different_classes(digits: Dataset, digits_fit: Fit) -> None:
    golden = digits_fit.checkpoint.golden_images
    assert golden.shape == (10, 8, 8, 1)
    expected = [digits.test.images[digits.test.targets == target][0].numpy() for target in range(10)]
    np.testing.assert_array_equal(golden, np.stack(expected))
    np.testing.assert_array_equal(
        digits_fit.checkpoint.golden_probabilities, digits_fit.model.probabilities(torch.from_numpy(golden)).numpy()
    )


def test_golden_examples_of_large_images_are_few() -> None:
    large = torch.zeros(20, 200, 200, 3, dtype=torch.uint8)
    assert golden_examples(Split(large, torch.arange(20))).shape == (2, 200, 200, 3)


def test_the_checkpoint_says_where_it_comes_from(digits_fit: Fit) -> None:
    provenance = digits_fit.checkpoint.provenance
    assert provenance["data"] == {"name": "digits", "train_images": 1437, "test_images": 360}
    assert provenance["figures"]["test_accuracy"] == digits_fit.history[-1].test_accuracy
    assert provenance["settings"]["batch_size"] == 32
    assert provenance["settings"]["device"] == "cpu"
    assert provenance["versions"]["torch"] == torch.__version__.partition("+")[0]

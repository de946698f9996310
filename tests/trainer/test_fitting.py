"""Fitting: determinism, resuming, early stopping, what a fit returns."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainer import (
    ConfigError,
    DataError,
    Dataset,
    Fit,
    FitConfig,
    Split,
    TrainerError,
    fit,
    load_checkpoint,
    save_checkpoint,
)
from trainer.data.mapped import MappedImages
from trainer.epoch import Epoch

CPU = FitConfig(epochs=3, batch_size=32, device="cpu")


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


def test_callbacks_see_every_epoch_and_every_image(tiny: Dataset) -> None:
    epochs: list[Epoch] = []
    images: list[int] = []
    result = fit(tiny, CPU, on_epoch=epochs.append, on_batch=images.append)
    assert tuple(epochs) == result.history
    assert images == [32, 32, 32, 24] * 3


def test_an_infinite_loss_stops_with_what_to_change(tiny: Dataset) -> None:
    with pytest.raises(
        TrainerError, match=r"expected a finite loss, found \w+ in epoch \d: lower --lr, which was 1e\+38, or use"
    ):
        fit(tiny, dataclasses.replace(CPU, lr=1e38))


@pytest.mark.parametrize("solver", ["auto", "sgd", "lbfgs"])
def test_balanced_class_weights_help_the_rare_class(solver: str) -> None:
    generator = np.random.default_rng(0)
    targets = (np.arange(2000) % 20 == 0).astype(np.int64)
    images = np.clip(generator.normal(100 + 20 * targets[:, None, None], 40, (2000, 3, 3)), 0, 255).astype(np.uint8)
    split = Split.of(images, targets)
    data = Dataset(name="rare", labels=("often", "rarely"), train=split, test=split)
    recall = {}
    for choice in ("none", "balanced"):
        model = fit(data, FitConfig(solver=solver, class_weights=choice, device="cpu")).model
        recall[choice] = float(model.probabilities(split.images[targets == 1]).argmax(dim=1).float().mean())
    assert recall["balanced"] > recall["none"] + 0.3


class Interrupt:
    """Stops a fit after some minibatches."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def count(self, _images: int) -> None:
        self.left -= 1

    def __call__(self) -> bool:
        return self.left <= 0


@pytest.mark.parametrize("stops", [[1], [20], [50, 30], [16, 16, 16]])
@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 3, "batch_size": 1},
        {"epochs": 3, "batch_size": 1, "val_fraction": 0.2, "class_weights": "balanced", "schedule": "constant"},
        {"solver": "lbfgs", "epochs": 12},
        {"solver": "lbfgs", "epochs": 12, "val_fraction": 0.2, "class_weights": "balanced", "patience": 100},
    ],
)
def test_an_interrupted_fit_goes_on_bit_for_bit(
    tiny: Dataset, settings: dict[str, Any], stops: list[int], tmp_path: Path
) -> None:
    config = FitConfig(device="cpu", **settings)
    undisturbed = fit(tiny, config)
    path, resume = tmp_path / "model.safetensors", None
    for batches in stops:
        interrupt = Interrupt(batches if config.solver == "sgd" else batches // 10)
        part = fit(tiny, config, resume=resume, stop=interrupt, on_batch=interrupt.count)
        assert not part.finished
        save_checkpoint(part.checkpoint, path)
        resume = load_checkpoint(path)
    result = fit(tiny, config, resume=resume)
    assert result.finished
    assert result.checkpoint.to_bytes() == undisturbed.checkpoint.to_bytes()
    figures = [dataclasses.replace(row, seconds=0) for row in result.history]
    assert figures == [dataclasses.replace(row, seconds=0) for row in undisturbed.history]


def test_other_settings_or_data_cannot_go_on(tiny: Dataset, digits: Dataset) -> None:
    interrupt = Interrupt(2)
    part = fit(tiny, CPU, stop=interrupt, on_batch=interrupt.count).checkpoint
    with pytest.raises(ConfigError, match=r"lr: expected 0\.03, as when this fit began, found 0\.5: resume"):
        fit(tiny, dataclasses.replace(CPU, lr=0.5), resume=part)
    darker = dataclasses.replace(tiny.train, images=tiny.train.images[:] // 2)
    for data in (dataclasses.replace(tiny, train=darker), digits):
        with pytest.raises(ConfigError, match="expected the images that this fit began with, found others"):
            fit(data, CPU, resume=part)
    with pytest.raises(ConfigError, match="found a finished one: nothing to resume"):
        fit(tiny, CPU, resume=fit(tiny, CPU).checkpoint)


def test_early_stopping_keeps_the_best_epoch(digits: Dataset) -> None:
    config = FitConfig(
        lr=2.0, schedule="constant", epochs=40, batch_size=16, val_fraction=0.3, patience=2, device="cpu"
    )
    kept: list[Fit] = []
    result = fit(digits, config, on_checkpoint=kept.append)
    losses = [row.val_loss or 0 for row in result.history]
    best = losses.index(min(losses))
    assert len(losses) == best + 1 + 2 < 40
    assert torch.equal(result.model.weights, torch.from_numpy(kept[best].checkpoint.weights).T)
    assert result.checkpoint.provenance["figures"]["val_loss"] == losses[best]


def test_the_test_split_decides_nothing(digits: Dataset) -> None:
    """With other test labels everything but the figures of the test split is the same."""
    config = FitConfig(epochs=6, lr=1.0, batch_size=16, val_fraction=0.2, patience=1, device="cpu")
    shuffled_labels = dataclasses.replace(digits.test, targets=digits.test.targets.flip(0))
    first, second = fit(digits, config), fit(dataclasses.replace(digits, test=shuffled_labels), config)
    assert torch.equal(first.model.weights, second.model.weights)
    assert len(first.history) == len(second.history)
    assert first.history[0].test_accuracy != second.history[0].test_accuracy


def test_arrays_that_a_user_has_at_hand(digits: Dataset) -> None:
    images, targets = digits.train.images[:][..., 0].numpy(), digits.train.targets.numpy().astype(np.uint8)
    result = fit((images, targets), FitConfig(epochs=5, batch_size=32))
    assert result.history[-1].test_accuracy > 0.9
    assert result.checkpoint.labels == tuple("0123456789")
    assert result.checkpoint.provenance["data"] == {"name": "arrays", "train_images": 1149, "test_images": 288}


def test_mapped_images_are_read_where_they_lie(tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "images.npy", tiny.train.images.numpy())
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    data = dataclasses.replace(tiny, train=Split.of(mapped, tiny.train.targets))
    monkeypatch.setattr("trainer.data.order.LEAST_BLOCK", 1)
    expected = fit(tiny, dataclasses.replace(CPU, shuffle_window=900))
    monkeypatch.setattr("trainer.fitting.place", lambda splits, *_: splits)
    assert isinstance(data.train.images, MappedImages)
    assert torch.equal(fit(data, CPU).model.weights, fit(tiny, CPU).model.weights)
    assert torch.equal(fit(data, dataclasses.replace(CPU, shuffle_window=900)).model.weights, expected.model.weights)
    assert not torch.equal(fit(tiny, CPU).model.weights, expected.model.weights)


@pytest.mark.parametrize(
    ("images", "targets", "message"),
    [
        (np.zeros((4, 2, 2), np.float32), np.array([0, 1, 0, 1]), "arrays: training images: expected uint8"),
        (np.zeros((4, 2, 2), np.uint8), np.array([0, 1, 0]), "arrays: training targets: expected int64 [4]"),
        (np.zeros((4, 2, 2), np.uint8), np.array([0.0, 1, 0, 1]), "expected integer classes, found float64"),
        (np.zeros((4, 2, 2), np.uint8), np.array([0, -1, 0, 1]), "expected 0 to 1, one of the labels, found -1 to 1"),
        (
            np.zeros((2, 2, 2), np.uint8),
            np.array([0, 1]),
            "arrays: expected 2 or more readable training images of each class",
        ),
        (np.zeros((0, 2, 2), np.uint8), np.array([], int), "arrays: training images: expected uint8"),
    ],
)
def test_arrays_that_are_not_fit_to_train_on(images: Any, targets: Any, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        fit((images, targets))


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("config", [FitConfig(epochs=5, batch_size=32, device="cuda"), FitConfig(device="cuda")])
def test_the_gpu_gives_the_cpus_answers(config: FitConfig, digits: Dataset) -> None:
    found, again = fit(digits, config), fit(digits, config)
    expected = fit(digits, dataclasses.replace(config, device="cpu"))
    assert torch.equal(found.model.weights, again.model.weights)
    torch.testing.assert_close(found.model.weights, expected.model.weights, rtol=0, atol=1e-3)


@pytest.mark.gpu
@needs_gpu
def test_streamed_blocks_are_the_resident_images(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    config = FitConfig(epochs=2, batch_size=32, device="cuda")
    resident = fit(digits, config)
    monkeypatch.setattr("trainer.data.device.free_on", lambda *_: 0.0)
    monkeypatch.setattr("trainer.data.minibatches.BLOCK_BYTES", 2**14)
    assert torch.equal(fit(digits, config).model.weights, resident.model.weights)

"""Fitting: settings, determinism, what a fit returns."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import sklearn.linear_model
import sklearn.metrics
import sklearn.utils.class_weight
import torch

from trainer import (
    ConfigError,
    DataError,
    Dataset,
    Fit,
    FitConfig,
    Model,
    Split,
    TrainerError,
    fit,
    load_checkpoint,
    save_checkpoint,
)
from trainer.data.mapped import MappedImages
from trainer.data.minibatches import shuffled
from trainer.fitting import Epoch, balanced, golden_examples, pixel_statistics, start
from trainer.solvers.sgd import constant, cosine

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
        ({"solver": "newton"}, "solver: expected one of sgd, lbfgs, found 'newton'"),
        ({"schedule": "step"}, "schedule: expected one of cosine, constant, found 'step'"),
        ({"class_weights": "odd"}, "class_weights: expected one of none, balanced, found 'odd'"),
        ({"val_fraction": 1.0}, "val_fraction: expected 0 to below 1, found 1.0"),
        ({"patience": 0}, "patience: expected at least 1, found 0"),
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
    assert list(cosine(0.3, 0, 50)) == pytest.approx(expected)
    assert list(cosine(0.3, 20, 50)) == pytest.approx(expected[20:])
    assert list(constant(0.3, 48, 50)) == [0.3, 0.3]


@pytest.mark.parametrize("class_weights", ["none", "balanced"])
def test_a_fit_takes_the_steps_of_autograd_and_torchs_optimiser(tiny: Dataset, class_weights: str) -> None:
    config = FitConfig(batch_size=32, epochs=3, weight_decay=0.05, class_weights=class_weights, device="cpu")
    model = start(tiny.train, 3, config.seed)
    features, targets = model.features(tiny.train.images), tiny.train.targets
    weights, bias = model.weights.clone().requires_grad_(), model.bias.clone().requires_grad_()
    groups: list[dict[str, Any]] = [{"params": [weights], "weight_decay": 0.05}, {"params": [bias]}]
    optimiser = torch.optim.SGD(groups, lr=config.lr, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=3 * 4)
    per_class = None if class_weights == "none" else balanced(tiny.train, 3, torch.device("cpu"))
    for epoch in (1, 2, 3):
        (order,) = shuffled(120, 90, window=2**20, seed=config.seed, epoch=epoch)
        for rows in order.split(32):
            logits = features[rows] @ weights + bias
            loss = torch.nn.functional.cross_entropy(logits, targets[rows], weight=per_class, reduction="sum")
            optimiser.zero_grad()
            (loss / len(rows)).backward()
            optimiser.step()
            schedule.step()

    found = fit(tiny, config).model

    torch.testing.assert_close(found.weights, weights.data, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.bias, bias.data, rtol=1e-4, atol=1e-5)


def test_callbacks_see_every_epoch_and_every_image(tiny: Dataset) -> None:
    epochs: list[Epoch] = []
    images: list[int] = []
    result = fit(tiny, CPU, on_epoch=epochs.append, on_batch=images.append)
    assert tuple(epochs) == result.history
    assert images == [32, 32, 32, 24] * 3


def test_an_infinite_loss_stops_with_what_to_change(tiny: Dataset) -> None:
    with pytest.raises(
        TrainerError, match=r"expected a finite loss, found \w+ in epoch \d: lower --lr, which was 1e\+38, or take"
    ):
        fit(tiny, dataclasses.replace(CPU, lr=1e38))


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
    assert digits_fit.checkpoint.progress is None
    assert golden.shape == (10, 8, 8, 1)
    expected = [digits.test.images[digits.test.targets == target][0].numpy() for target in range(10)]
    np.testing.assert_array_equal(golden, np.stack(expected))
    np.testing.assert_array_equal(
        digits_fit.checkpoint.golden_probabilities, digits_fit.model.probabilities(torch.from_numpy(golden)).numpy()
    )


def test_golden_examples_of_large_images_are_few() -> None:
    large = Split(torch.zeros(20, 200, 200, 3, dtype=torch.uint8), torch.arange(20))
    model = Model(weights=torch.zeros(120_000, 20), bias=torch.zeros(20), mean=torch.zeros(3), std=torch.ones(3))
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
    found = balanced(Split(tiny.train.images, targets), 3, torch.device("cpu"))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
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


def objective(features: Any, targets: Any, penalty: float, weights: Any, bias: Any) -> tuple[float, Any, Any]:
    """The penalised loss by scikit-learn, and its gradients. features: [N, D]. weights: [D, K]."""
    probabilities = scipy.special.softmax(features @ weights + bias, axis=1)
    errors = (probabilities - np.eye(len(bias))[targets]) / len(targets)
    loss = sklearn.metrics.log_loss(targets, probabilities) + penalty / 2 * (weights**2).sum()
    return float(loss), features.T @ errors + penalty * weights, errors.sum(axis=0)


@pytest.mark.parametrize("penalty", [1e-2, 1e-3])
def test_lbfgs_reaches_scikit_learns_optimum(digits: Dataset, penalty: float) -> None:
    model = fit(digits, FitConfig(solver="lbfgs", weight_decay=penalty, device="cpu")).model
    features, targets = model.features(digits.train.images).double().numpy(), digits.train.targets.numpy()
    theirs = sklearn.linear_model.LogisticRegression(C=1 / (penalty * len(targets)), tol=1e-8, max_iter=5000)
    theirs.fit(features, targets)
    expected, *_ = objective(features, targets, penalty, theirs.coef_.T, theirs.intercept_)
    found, *_ = objective(features, targets, penalty, model.weights.double().numpy(), model.bias.double().numpy())
    assert found <= expected * (1 + 1e-4)


def test_lbfgs_stops_when_it_is_there(digits: Dataset) -> None:
    result = fit(digits, FitConfig(solver="lbfgs", weight_decay=1.0, device="cpu"))
    assert result.finished
    assert len(result.history) < 200


def test_lbfgs_learns_from_small_steps_too(digits: Dataset) -> None:
    penalty, targets = 0.3, digits.train.targets.numpy()
    ours = fit(digits, FitConfig(solver="lbfgs", weight_decay=penalty, device="cpu"))
    first = start(digits.train, 10, 0)
    features = first.features(digits.train.images).double().numpy()

    def flat(parameters: Any) -> tuple[float, Any]:
        value, *slopes = objective(features, targets, penalty, parameters[:-10].reshape(-1, 10), parameters[-10:])
        return value, np.concatenate([slope.ravel() for slope in slopes])

    theirs = scipy.optimize.minimize(
        flat,
        np.concatenate([first.weights.flatten(), first.bias]).astype(np.float64),
        jac=True,
        method="L-BFGS-B",
        options={"maxcor": 100, "gtol": 1e-6, "ftol": 0},
    )
    assert theirs.success
    assert len(ours.history) <= 1.1 * theirs.nit + 1


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
    darker = dataclasses.replace(tiny.train, images=tiny.train.images // 2)
    for data in (dataclasses.replace(tiny, train=darker), digits):
        with pytest.raises(ConfigError, match="expected the images that this fit began with, found others"):
            fit(data, CPU, resume=part)
    with pytest.raises(ConfigError, match="found a finished one: nothing is left to do"):
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
    assert torch.equal(result.model.weights, torch.from_numpy(kept[best].checkpoint.weights))
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
    images, targets = digits.train.images[..., 0].numpy(), digits.train.targets.numpy().astype(np.uint8)
    result = fit((images, targets), FitConfig(epochs=5, batch_size=32))
    assert result.history[-1].test_accuracy > 0.9
    assert result.checkpoint.labels == tuple("0123456789")
    assert result.checkpoint.provenance["data"] == {"name": "arrays", "train_images": 1149, "test_images": 288}


def test_mapped_images_are_read_where_they_lie(tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "images.npy", tiny.train.images.numpy())
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    data = dataclasses.replace(tiny, train=Split.of(mapped, tiny.train.targets))
    monkeypatch.setattr("trainer.data.minibatches.LEAST_BLOCK", 1)
    expected = fit(tiny, dataclasses.replace(CPU, shuffle_window=900))
    monkeypatch.setattr("trainer.fitting.place", lambda split, *_: split)
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
            "arrays: expected enough images of each class to hold",
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
def test_the_gpu_gives_the_cpus_answers(digits: Dataset) -> None:
    config = FitConfig(epochs=5, batch_size=32, device="cuda")
    found, again = fit(digits, config), fit(digits, config)
    expected = fit(digits, dataclasses.replace(config, device="cpu"))
    assert torch.equal(found.model.weights, again.model.weights)
    torch.testing.assert_close(found.model.weights, expected.model.weights, rtol=0, atol=1e-3)


@pytest.mark.gpu
@needs_gpu
def test_streamed_blocks_are_the_resident_images(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    config = FitConfig(epochs=2, batch_size=32, device="cuda")
    resident = fit(digits, config)
    monkeypatch.setattr("trainer.data.minibatches.free_on", lambda *_: 0.0)
    monkeypatch.setattr("trainer.data.minibatches.BLOCK_BYTES", 2**14)
    assert torch.equal(fit(digits, config).model.weights, resident.model.weights)

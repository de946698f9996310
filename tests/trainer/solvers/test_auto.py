"""Default training: everything is found, nothing diverges, and it goes on as if undisturbed."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from export import export
from tests.interpreter import Kit
from trainer import Dataset, FitConfig, Split, fit, load_checkpoint, save_checkpoint
from trainer.epoch import Epoch
from trainer.solvers import auto
from trainer.solvers.choice import FOLDS, by_class, deal

CPU = FitConfig(device="cpu")


def of_arrays(images: NDArray[Any], targets: NDArray[Any], classes: int = 2) -> Dataset:
    split = Split.of(images.astype(np.uint8), targets.astype(np.int64))
    return Dataset(name="made", labels=tuple(map(str, range(classes))), train=split, test=split)


def hostile() -> dict[str, Dataset]:
    rng = np.random.default_rng(0)
    two = np.arange(200) % 2
    noise = rng.integers(0, 256, (200, 6, 6))
    rare = (np.arange(2000) % 1000 == 999).astype(int)
    return {
        "constant pixels": of_arrays(np.where(np.arange(6) < 3, 9, noise), two),
        "nothing varies": of_arrays(np.full((200, 6, 6), 77), two),
        "duplicated features": of_arrays(np.repeat(noise[:, :, :3], 2, axis=2), two),
        "one class in 1,000": of_arrays(rng.integers(0, 200, (2000, 5, 5)) + 50 * rare[:, None, None], rare),
        "separable": of_arrays(noise // 2 + 120 * two[:, None, None], two),
        "contrast of 0.3 grey levels": of_arrays(128 + (rng.random((200, 6, 6)) < 0.05 + two[:, None, None] / 10), two),
        "one image of a class": of_arrays(noise[:50], np.arange(50) == 7),
        "two images": of_arrays(noise[:2], np.arange(2)),
        "one pixel": of_arrays(noise[:, :1, :1], two),
        "more pixels than images": of_arrays(rng.integers(0, 256, (12, 60, 60)), np.arange(12) % 2),
        "a class without images": of_arrays(noise, two, classes=3),
    }  # fmt: skip


@pytest.mark.parametrize("images", [6000, 10])
@pytest.mark.parametrize("settings", [{}, {"weight_decay": 0.0}, {"class_weights": "balanced"}], ids=str)
@pytest.mark.parametrize("name", hostile())
def test_hostile_sets(name: str, settings: dict[str, Any], images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By L-BFGS and, with weight decay found on some images only, by minibatch gradient descent."""
    monkeypatch.setattr(auto, "IMAGES", images)
    data = hostile()[name]
    if settings.get("class_weights") and "without" in name:
        pytest.skip("no weight for it")
    result = fit(data, dataclasses.replace(CPU, **settings))
    assert result.finished
    shares = data.train.targets.bincount(minlength=len(data.labels)).double() / len(data.train)
    guess = float(-(shares[shares > 0] * shares[shares > 0].log()).sum())  # the loss of answering with the shares
    if not settings.get("class_weights"):
        assert result.history[-1].test_loss < guess + 0.01
    assert np.isfinite(result.checkpoint.weights).all()
    assert len(result.history) <= 100


@pytest.mark.parametrize("name", ["contrast of 0.3 grey levels", "separable", "more pixels than images"])
def test_what_it_makes_can_be_exported(name: str, tmp_path: Path) -> None:
    assert export(fit(hostile()[name], CPU).checkpoint, "onnx", tmp_path / "model.onnx").parity.label_flips == 0


def test_it_says_what_it_chose(run_kit: Kit) -> None:
    result = run_kit("train", "--data", "digits", "--no-report", "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    choice = report["choice"]
    chosen = f"weight decay {choice['weight_decay']:.3g}, by the loss on held-out images (5 folds of 1,293 "
    assert chosen in result.stderr
    assert chosen in Path("runs/digits/MODEL_CARD.md").read_text()
    assert report["settings"]["solver"] == "auto"
    assert report["figures"]["test_accuracy"] > 0.955
    assert report["figures"]["test_loss"] < 0.14


@pytest.mark.parametrize(
    ("settings", "solver", "decay"),
    [
        ({}, "auto", None),
        ({"weight_decay": 0.02}, "auto", 0.02),
        ({"lr": 0.03}, "sgd", 1e-3),
        ({"momentum": 0.9}, "sgd", 1e-3),
        ({"batch_size": 256}, "sgd", 1e-3),
        ({"schedule": "cosine", "weight_decay": 0.5}, "sgd", 0.5),
        ({"solver": "lbfgs"}, "lbfgs", 1e-3),
    ],
)
def test_settings_of_sgd_select_it(settings: dict[str, Any], solver: str, decay: float | None) -> None:
    config = FitConfig(**settings)
    assert (config.solver, config.weight_decay) == (solver, decay)
    assert FitConfig(**dataclasses.asdict(config)) == config


def test_a_given_weight_decay_is_not_chosen(digits: Dataset) -> None:
    result = fit(digits, dataclasses.replace(CPU, weight_decay=0.05))
    assert result.choice
    assert (result.choice.weight_decay, result.choice.images, result.choice.losses) == (0.05, 0, ())
    exact = fit(digits, dataclasses.replace(CPU, solver="lbfgs", weight_decay=0.05))
    assert result.history[-1].train_loss < 1.5 * exact.history[-1].train_loss


def test_the_test_images_decide_nothing(digits: Dataset) -> None:
    other = dataclasses.replace(digits, test=digits.train.subset(torch.arange(50)))
    assert fit(digits, CPU).choice == fit(other, CPU).choice


@pytest.mark.parametrize(("images", "kept"), [(6000, True), (500, False)])
def test_the_checkpoint_has_centre_and_scale(
    images: int, kept: bool, digits: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(auto, "IMAGES", images)
    result = fit(digits, dataclasses.replace(CPU, epochs=3))
    save_checkpoint(result.checkpoint, tmp_path / "model.safetensors")
    found = load_checkpoint(tmp_path / "model.safetensors")
    centre, scale = found.scaling()
    pixels = digits.test.images[:].flatten(1).double().numpy()
    logits = (pixels - centre) / scale @ found.weights.astype(np.float64) + found.bias
    odds = np.exp(logits - logits.max(1, keepdims=True))
    expected = result.model.probabilities(digits.test.images[:])
    np.testing.assert_allclose(odds / odds.sum(1, keepdims=True), expected, atol=1e-5)
    assert (result.choice is not None and result.choice.lr is None) is kept


class Stop:
    """Stops a fit after some epochs."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def count(self, _: Epoch) -> None:
        self.left -= 1

    def __call__(self) -> bool:
        return self.left <= 0


@pytest.mark.parametrize("images", [6000, 60])
@pytest.mark.parametrize("given", [{}, {"weight_decay": 0.01}, {"val_fraction": 0.2, "patience": 100}], ids=str)
def test_it_goes_on_bit_for_bit(
    images: int, given: dict[str, Any], digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto, "IMAGES", images)
    config = dataclasses.replace(CPU, epochs=6, **given)
    few = dataclasses.replace(digits, train=digits.train.subset(torch.arange(300)))
    undisturbed = fit(few, config)
    assert len(undisturbed.history) > 1
    for epochs in (0, 1, 2):
        stop = Stop(epochs)
        part = fit(few, config, on_epoch=stop.count, stop=stop)
        assert not part.finished
        save_checkpoint(part.checkpoint, tmp_path / "model.safetensors")
        result = fit(few, config, resume=load_checkpoint(tmp_path / "model.safetensors"))
        assert result.checkpoint.to_bytes() == undisturbed.checkpoint.to_bytes()


def log_likelihood(model: Any, pixels: NDArray[Any], targets: NDArray[np.int64]) -> float:
    """Mean log-likelihood of held-out digits, all of whose classes the model knows."""
    return float(model.predict_log_proba(pixels)[np.arange(len(targets)), targets].mean())


@pytest.mark.parametrize("each", [2, 5])
def test_a_handful_of_digits(each: int, digits: Dataset) -> None:
    """The loss is no worse than that of scikit-learn with C by the same folds."""
    ours, theirs = [], []
    for seed in range(6):
        rows = by_class(digits.train.targets, seed)
        few = digits.train.subset(torch.cat([rows[digits.train.targets[rows] == digit][:each] for digit in range(10)]))
        data = dataclasses.replace(digits, train=few)
        ours.append(fit(data, dataclasses.replace(CPU, seed=seed)).history[-1].test_loss)
        peer = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        grid, folds = {"logisticregression__C": 10.0 ** np.arange(-5, 2)}, deal(few.targets, FOLDS, seed).numpy()
        scored = GridSearchCV(peer, grid, scoring=log_likelihood, cv=PredefinedSplit(folds))
        scored.fit(few.images[:].flatten(1).numpy(), few.targets.numpy())
        probabilities = scored.predict_proba(digits.test.images[:].flatten(1).numpy())
        theirs.append(log_loss(digits.test.targets.numpy(), probabilities))
    assert np.mean(ours) <= np.mean(theirs)

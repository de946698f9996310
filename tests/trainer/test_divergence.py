"""A fit that has diverged is refused, with the setting to change."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch

from trainer import Dataset, FitConfig, Split, fit
from trainer.config import LARGEST, Choice
from trainer.distributed import ALONE
from trainer.divergence import Divergence
from trainer.errors import DivergedError
from trainer.softmax_regression import Model
from trainer.solvers.task import Task
from trainer.start import initial_model

RATE = r"lower --lr, which was {}, or use --solver lbfgs$"
DECAY = r"lower --weight-decay, which was {}$"


def task_of(data: Dataset, **settings: Any) -> Task:
    config = FitConfig(device="cpu", **settings)
    return Task(
        model=initial_model(data.train, len(data.labels), config),
        train=data.train,
        class_weights=None,
        device=torch.device("cpu"),
        config=config,
        on_batch=lambda _: None,
        on_choice=lambda _: None,
        stop=lambda: False,
        group=ALONE,
        window=1,
    )


@pytest.mark.parametrize("class_weights", ["none", "balanced"])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 1e6}, "at the end, found .*, more than at the start: " + RATE.format(r"1e\+06")),
        ({"lr": 1e30}, RATE.format(r"1e\+30")),
        ({"lr": LARGEST}, "expected a finite (loss|weight), .* in epoch 1: " + RATE.format(r"3.4e\+38")),
        ({"solver": "sgd", "weight_decay": 1e9}, DECAY.format(r"1e\+09")),
        ({"solver": "sgd", "weight_decay": LARGEST}, DECAY.format(r"3.4e\+38")),
        ({"lr": 1e6, "weight_decay": 1e9}, RATE.format(r"1e\+06")),
    ],
)
def test_a_fit_that_diverges(tiny: Dataset, settings: dict[str, Any], message: str, class_weights: str) -> None:
    saved: list[Any] = []
    config = FitConfig(epochs=2, device="cpu", class_weights=class_weights, **settings)
    with pytest.raises(DivergedError, match=message):
        fit(tiny, config, on_checkpoint=saved.append)
    assert not any(found.finished for found in saved)


@pytest.mark.parametrize("solver", ["auto", "lbfgs"])
@pytest.mark.parametrize("decay", [1e9, LARGEST])
def test_a_large_weight_decay_gives_the_frequencies_by_lbfgs(tiny: Dataset, solver: str, decay: float) -> None:
    result = fit(tiny, FitConfig(solver=solver, weight_decay=decay, device="cpu"))
    assert result.history[-1].train_loss == pytest.approx(math.log(3), rel=1e-4)


def test_what_is_not_finite(tiny: Dataset) -> None:
    task = task_of(tiny, lr=0.5)
    judge = Divergence(task)
    judge.check_finite(1, (0.5, None, 1e30), None)
    for value in (math.nan, math.inf):
        with pytest.raises(
            DivergedError, match=rf"^expected a finite loss, found {value} in epoch 7: lower --lr, .* 0.5,"
        ):
            judge.check_finite(7, (0.5, value), None)
    for tensor in (task.model.bias, task.model.weights):
        tensor.view(-1)[1] = -math.inf
        with pytest.raises(DivergedError, match=r"^expected a finite weight, found inf in epoch 2: lower --lr"):
            judge.check_finite(2, (0.5,), None)
        tensor.zero_()


def test_the_setting_is_the_one_that_was_chosen(tiny: Dataset) -> None:
    judge = Divergence(task_of(tiny))
    for choice, message in (
        (Choice(weight_decay=0.25), DECAY.format("0.25")),
        (Choice(weight_decay=0.25, batch_size=4, lr=7), RATE.format("7")),
        (Choice(weight_decay=2500, batch_size=4, lr=0.01), DECAY.format("2500")),
    ):
        with pytest.raises(DivergedError, match=message):
            judge.check_finite(1, (math.nan,), choice)


@pytest.mark.parametrize(("lr", "message"), [(0.03, DECAY.format(r"1e\+09")), (0.3, RATE.format("0.3"))])
def test_the_default_rate_is_not_to_blame(lr: float, message: str) -> None:
    """Though it is too large for images as large as these, whose pixels go together."""
    images = np.broadcast_to(np.arange(100)[:, None, None], (100, 64, 64)).astype(np.uint8)
    split = Split.of(images, np.arange(100) // 50)
    data = Dataset(name="grey", labels=("dark", "bright"), train=split, test=split)
    with pytest.raises(DivergedError, match=message):
        Divergence(task_of(data, lr=lr, weight_decay=1e9)).check_finite(1, (math.nan,), None)


def always_first(model: Model, bias: float) -> Model:
    """Of equal classes its loss is ln(eᵇ + 2) − b/3."""
    return dataclasses.replace(model, weights=torch.zeros_like(model.weights), bias=torch.tensor([bias, 0.0, 0.0]))


def test_the_end_is_judged_by_twice_the_loss_of_equal_probabilities(tiny: Dataset) -> None:
    task = task_of(tiny, lr=0.5)
    judge = Divergence(task)
    judge.check_end(always_first(task.model, 3.1), None)  # 2.15
    expected = r"^expected a training loss of at most 2 ln K = 2\.197 at the end, found {}, "
    with pytest.raises(DivergedError, match=expected.format(2.212) + "more than at the start: " + RATE.format("0.5")):
        judge.check_end(always_first(task.model, 3.2), None)
    with pytest.raises(DivergedError, match=expected.format("nan") + "more than at the start: lower --lr"):
        judge.check_end(always_first(task.model, math.nan), None)
    task.model.bias[0] = 1e3
    with pytest.raises(DivergedError, match=expected.format(2.212) + "less than at the start: raise --epochs$"):
        Divergence(task).check_end(always_first(task.model, 3.2), None)


def test_the_end_is_judged_with_class_weights() -> None:
    """A rare class that is wrong by far tells with its weight, and not without."""
    images, targets = np.zeros((100, 2, 2), np.uint8), (np.arange(100) % 50 == 0).astype(np.int64)
    images[0] = 1
    data = Dataset(
        name="rare", labels=("often", "rarely"), train=Split.of(images, targets), test=Split.of(images, targets)
    )
    task = task_of(data, lr=0.5)
    wrong = dataclasses.replace(task.model, weights=torch.zeros(2, 4), bias=torch.tensor([20.0, 0.0]))
    Divergence(task).check_end(wrong, None)
    weighted = dataclasses.replace(task, class_weights=torch.tensor([100 / 196, 25.0]))
    with pytest.raises(DivergedError, match=r"found 10, more than at the start"):
        Divergence(weighted).check_end(wrong, None)


def test_images_from_all_parts_are_judged(tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the images, from first to last, rather than those of one class that come first."""
    monkeypatch.setattr("trainer.divergence.JUDGED", 12)
    order = tiny.train.targets.argsort(stable=True)
    data = dataclasses.replace(tiny, train=Split(tiny.train.images[order], tiny.train.targets[order]))
    task = task_of(data, lr=0.5)
    with pytest.raises(DivergedError, match=r"found 13\.33"):
        Divergence(task).check_end(always_first(task.model, 20), None)

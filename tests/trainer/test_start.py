"""The model that a fit starts from: anew, or from another fit's weights, by label."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
import torch

from runtime.image import ImageContract
from trainer import Checkpoint, ConfigError, Dataset, Fit, FitConfig, Split, fit
from trainer.data.features import Features
from trainer.start import initial_model, take_over

CPU = FitConfig(device="cpu")
SHORT: dict[str, dict[str, Any]] = {"auto": {}, "sgd": {"batch_size": 32, "epochs": 5}, "lbfgs": {"epochs": 30}}


@pytest.fixture(scope="module")
def before() -> Fit:
    """A fit of three classes, by the default solver, with a centre and scale of each pixel."""
    return fit(three(), CPU)


def three(labels: tuple[str, ...] = ("dark", "middle", "bright"), offset: int = 0) -> Dataset:
    """120 images of 6 × 5 pixels, whose classes differ in brightness."""
    generator = np.random.default_rng(offset)
    targets = np.arange(120) % len(labels)
    brightness = offset + 60 * targets[:, None, None, None]
    images = (generator.integers(0, 90, (120, 6, 5, 3)) + brightness).astype(np.uint8)
    split = Split.of(images, targets)
    return Dataset(name="three", labels=labels, train=split, test=split)


def taken(checkpoint: Checkpoint, data: Dataset, **settings: Any) -> Any:
    model = initial_model(data.train.inputs, len(data.labels), FitConfig(device="cpu", **settings))
    return model, take_over(checkpoint, model, data)


@pytest.mark.parametrize("settings", [{}, {"solver": "sgd"}, {"solver": "lbfgs"}], ids=str)
def test_the_logits_are_those_of_the_checkpoint(before: Fit, settings: dict[str, Any]) -> None:
    """Whatever images the new model is centred and scaled by."""
    data = three(offset=40)
    model, found = taken(before.checkpoint, data, **settings)
    assert not torch.equal(found.mean, before.model.mean)
    assert torch.equal(found.mean, model.mean)
    assert torch.equal(found.std, model.std)
    images = data.train.images[:]
    expected = before.model.logits(before.model.features(images))
    torch.testing.assert_close(found.logits(found.features(images)), expected, rtol=0, atol=1e-3)  # of logits to 100


def test_labels_are_found_by_name_and_others_start_anew(before: Fit) -> None:
    data = three(labels=("bright", "odd", "dark", "even"))
    model, found = taken(before.checkpoint, data, solver="sgd")
    images = data.train.images[:]
    expected = before.model.logits(before.model.features(images))
    logits, anew = found.logits(found.features(images)), model.logits(model.features(images))
    torch.testing.assert_close(logits[[0, 2]], expected[[2, 0]], rtol=0, atol=1e-3)  # as above
    assert torch.equal(logits[[1, 3]], anew[[1, 3]])


@pytest.mark.parametrize("solver", list(SHORT))
def test_a_fit_begins_with_the_weights(before: Fit, solver: str) -> None:
    """After the first epoch the loss is below what a start anew gives, and the provenance names the checkpoint."""
    config = FitConfig(solver=solver, weight_decay=1e-3, device="cpu", **SHORT[solver])
    anew, warm = fit(three(), config), fit(three(), config, start=before.checkpoint)
    assert warm.history[0].train_loss < 0.5 * anew.history[0].train_loss
    assert warm.checkpoint.provenance["start"] == before.checkpoint.digest()
    assert "start" not in anew.checkpoint.provenance


def test_what_finds_weight_decay_begins_with_the_weights_too(before: Fit) -> None:
    """Not with those of the folds, though they are better than these."""
    worse = dataclasses.replace(before.checkpoint, weights=before.checkpoint.weights / np.float32(50))
    anew, found = (fit(three(), CPU, start=start).history[0].train_loss for start in (None, worse))
    assert found > 2 * anew


def test_a_fit_from_it_goes_on_bit_for_bit(before: Fit) -> None:
    """An unfinished one is resumed without the checkpoint that it started from."""
    asked = iter(range(1000))
    config = FitConfig(solver="lbfgs", epochs=12, device="cpu")
    data = three(labels=("dark", "middle", "bright", "new"))
    whole = fit(data, config, start=before.checkpoint)
    part = fit(data, config, start=before.checkpoint, stop=lambda: next(asked) > 4)
    assert not part.finished
    result = fit(data, config, resume=part.checkpoint)
    assert result.checkpoint.to_bytes() == whole.checkpoint.to_bytes()
    with pytest.raises(ConfigError, match="one to resume, found both: leave out one of them"):
        fit(data, config, resume=part.checkpoint, start=before.checkpoint)


def features_of(name: str, graph: list[int]) -> Features:
    return Features(name, 4, np.array(graph, np.uint8), {})


@pytest.mark.parametrize(
    ("old", "new", "expected", "found"),
    [
        (features_of("net", [1]), None, "pixels", "net"),
        (None, features_of("net", [1]), "net", "pixels"),
        (features_of("net", [2]), features_of("net", [1]), "net", "others of the name net"),
    ],
)
def test_other_features(before: Fit, old: Features | None, new: Features | None, expected: str, found: str) -> None:
    checkpoint = dataclasses.replace(before.checkpoint, features=old)
    data = three()
    model = initial_model(data.train.inputs, 3, CPU)
    message = (
        f"expected a model of the same features to start from, {expected}, found one of {found}: "
        "use the same --features, or train without --from"
    )
    object.__setattr__(data, "features", new)  # of images without any
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        take_over(checkpoint, model, data)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((6, 5), "with color RGB, found color L: use --color RGB, or train without --from"),
        ((7, 7, 3), "with height 6, width 5, found height 7, width 7: use images of that size, or train"),
    ],
)
def test_other_images(before: Fit, shape: tuple[int, ...], message: str) -> None:
    split = Split.of(np.zeros((4, *shape), np.uint8), np.arange(4) % 2)
    data = Dataset(name="other", labels=("dark", "bright"), train=split, test=split)
    with pytest.raises(ConfigError, match=re.escape(message)):
        fit(data, CPU, start=before.checkpoint)


def test_the_size_is_an_option_where_it_is_square(checkpoint: Checkpoint) -> None:
    split = Split.of(np.zeros((4, 9, 8, 3), np.uint8), np.arange(4) % 2)
    data = Dataset(name="other", labels=("0", "1"), train=split, test=split)
    message = "found height 9, color RGB: use --image-size 8 and --color L, or train without --from"
    with pytest.raises(ConfigError, match=message):
        fit(data, CPU, start=checkpoint)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({"fit": "stretch"}, "with fit pad, found fit stretch: use --fit pad, or train without"),
        ({"shift": 4, "fit": "crop"}, "fit pad, shift 8, found fit crop, shift 4: use --fit pad and --shift 8, or"),
        ({"fit": "pad", "fill": (1, 2, 3)}, r"fill \(1, 2, 3\): use images that are read like those, or train without"),
    ],
)
def test_images_that_are_read_in_another_way(before: Fit, image: dict[str, Any], message: str) -> None:
    padded, other = (ImageContract(height=6, width=5, color="RGB", **given) for given in ({"fit": "pad"}, image))
    checkpoint = dataclasses.replace(before.checkpoint, image=padded)
    with pytest.raises(ConfigError, match=message):
        fit(dataclasses.replace(three(), image=other), CPU, start=checkpoint)


def test_no_label_in_common(before: Fit) -> None:
    message = "such as 'dark', found others, such as 'Dark': train without --from"
    with pytest.raises(ConfigError, match=f"^expected at least one label of the model to start from, {message}$"):
        fit(three(labels=("Dark", "new")), CPU, start=before.checkpoint)

"""Mirror images as more rows: which features they have, and that both of a pair stay together."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.interpreter import Kit
from trainer import ConfigError, Dataset, FeatureSettings, Fit, FitConfig, Split, fit, load_checkpoint, load_features
from trainer.data.mapped import MappedImages
from trainer.parts import parts_of, settled
from trainer.solvers.choice import FOLDS, deal

SETTINGS = FeatureSettings(filters=8, mirror=True)


@pytest.fixture
def mirrored(digits: Dataset) -> Dataset:
    return load_features(digits, "patches", SETTINGS)


def test_the_rows_are_the_features_of_the_images_and_of_their_mirror_images(mirrored: Dataset, digits: Dataset) -> None:
    plain = load_features(digits, "patches", FeatureSettings(filters=8))
    assert plain.features is not None
    assert mirrored.features is not None
    np.testing.assert_array_equal(mirrored.features.graph, plain.features.graph)
    flipped = Split.of(digits.train.images.numpy()[:, :, ::-1].copy(), digits.train.targets)
    theirs = load_features(dataclasses.replace(digits, test=flipped), "patches", FeatureSettings(filters=8)).test
    assert mirrored.train.features is not None
    assert plain.train.features is not None
    assert theirs.features is not None
    both = torch.cat([plain.train.features[:], theirs.features[:]])
    assert torch.equal(mirrored.train.features[:], both)
    assert (len(mirrored.train), mirrored.train.copies, len(mirrored.train.inputs)) == (1437, 2, 2874)
    assert torch.equal(mirrored.train.inputs.targets, digits.train.targets.repeat(2))
    assert (mirrored.test.copies, len(mirrored.test.inputs)) == (1, 360)
    assert torch.equal(mirrored.train.unmirrored.inputs.images[:], plain.train.features[:])


def test_a_subset_has_both_of_each_pair(mirrored: Dataset) -> None:
    rows = torch.tensor([5, 1, 700])
    some, whole = mirrored.train.subset(rows), mirrored.train.features
    assert whole is not None
    assert some.features is not None
    assert torch.equal(some.features[:], whole[torch.tensor([5, 1, 700, 5 + 1437, 1 + 1437, 700 + 1437])])
    assert some.targets.tolist() == mirrored.train.targets[rows].tolist()
    assert isinstance(mirrored.train.features, MappedImages)


def test_held_out_images_are_not_mirrored(mirrored: Dataset) -> None:
    config = settled(FitConfig(val_fraction=0.2), mirrored)
    parts = parts_of(mirrored, config)
    assert parts.validation is not None
    assert parts.held_out is not None
    assert [part.copies for part in (parts.train, parts.validation, parts.held_out)] == [2, 1, 1]
    assert len(parts.train.inputs) == 2 * len(parts.train)
    assert len(parts.validation.inputs) == len(parts.validation)


def test_both_of_a_pair_are_in_the_same_fold(mirrored: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, torch.Tensor] = {}

    def choose(features: torch.Tensor, targets: torch.Tensor, *_: object, copies: int, **__: object) -> None:
        seen.update(features=features, targets=targets, copies=torch.tensor(copies))

    monkeypatch.setattr("trainer.solvers.auto.choose", choose)
    fit(mirrored, FitConfig(device="cpu", calibrate=False))
    half = len(seen["targets"]) // 2
    assert int(seen["copies"]) == 2
    assert torch.equal(seen["targets"][:half], seen["targets"][half:])
    folds = deal(seen["targets"][:half], FOLDS, 0).repeat(2)
    assert torch.equal(folds[:half], folds[half:])
    rows, whole = seen["features"], mirrored.train.features
    assert whole is not None
    nearest = torch.cdist(whole[:1437].flatten(1), whole[1437:].flatten(1)).diagonal()
    drawn = torch.cdist(rows[:half], rows[half:]).diagonal()
    assert half == 1437
    assert (drawn.sort().values.argsort() == torch.arange(half)).all()
    assert (nearest > 0).sum() == (drawn > 0).sum()


def test_a_resumed_fit_ends_alike_and_without_mirror_images_is_refused(mirrored: Dataset, digits: Dataset) -> None:
    config = FitConfig(solver="sgd", epochs=2, device="cpu", calibrate=False, shuffle_window=50_000)
    stops, saved = iter([False, True, True, True, True]), list[Fit]()
    fit(mirrored, config, on_checkpoint=saved.append, stop=lambda: next(stops))
    assert not saved[-1].finished
    whole, resumed = fit(mirrored, config), fit(mirrored, config, resume=saved[-1].checkpoint)
    assert resumed.checkpoint.to_bytes() == whole.checkpoint.to_bytes()
    plain = load_features(digits, "patches", FeatureSettings(filters=8))
    with pytest.raises(ConfigError, match="expected the images that this fit began with, found others"):
        fit(plain, config, resume=saved[-1].checkpoint)


def test_pixels_have_no_mirror_images(digits: Dataset) -> None:
    with pytest.raises(ConfigError, match="--mirror: expected none for the features pixels, found one: leave it out"):
        load_features(digits, "pixels", FeatureSettings(mirror=True))


def test_progress_counts_them(digits: Dataset) -> None:
    seen: list[tuple[int, int]] = []
    load_features(digits, "patches", SETTINGS, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (2 * 1437 + 360, 2 * 1437 + 360)


def test_a_run(run_kit: Kit) -> None:
    options = ["--features", "patches", "--filters", "8", "--mirror", "--no-report", "--json"]
    result = run_kit("train", "--data", "digits", *options)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert "\ndigits: 1,437 training and 360 test images" in result.stderr
    assert report["data"]["train_images"] == 1437
    assert report["features"]["mirror"] is True
    checkpoint = load_checkpoint("runs/digits/model.safetensors")
    assert checkpoint.features is not None
    assert checkpoint.features.about["mirror"] is True
    assert "(5 folds of 2,586 " in result.stderr
    assert "1,437 training images" in Path("runs/digits/MODEL_CARD.md").read_text()
    assert run_kit("export", "runs/digits").exit_code == 0

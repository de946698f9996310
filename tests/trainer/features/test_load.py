"""Features of a data set: computed once, kept, and what the regression is fitted to."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.interpreter import Kit
from trainer import ConfigError, DataError, Dataset, FeatureSettings, FitConfig, fit, load_data, load_features
from trainer.features import extraction
from trainer.features.graph import opened


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KIT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data("digits")


FEW = FeatureSettings(filters=8)


def test_they_are_what_the_graph_gives(digits: Dataset) -> None:
    told: list[tuple[int, int]] = []
    found = load_features(digits, "patches", FEW, progress=lambda done, total: told.append((done, total)))
    assert found.features is not None
    assert (found.features.name, found.features.size) == ("patches", 128)
    run = opened(found.features.graph.tobytes(), "patches")
    for split in (found.train, found.test):
        assert split.features is not None
        assert (split.features.shape, split.features.dtype) == ((len(split), 1, 1, 128), torch.float32)
        np.testing.assert_allclose(split.features[:3].numpy()[:, 0, 0], run(split.images[:3].numpy()), atol=1e-4)
    assert told[-1] == (1797, 1797)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_they_are_computed_once(digits: Dataset, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def computed() -> NDArray[np.float32]:
        features = load_features(digits, "patches", FEW).train.features
        assert features is not None
        return features[:].numpy()

    first = computed()
    with monkeypatch.context() as patch:
        patch.setattr(extraction, "_computed", None)
        np.testing.assert_array_equal(computed(), first)
    for path in cache.glob("*.npy"):
        damaged = path.read_bytes()[:-4] + b"1234"
        path.unlink()
        path.write_bytes(damaged)
    np.testing.assert_array_equal(computed(), first)


def test_pixels_are_none(digits: Dataset) -> None:
    assert load_features(digits, "pixels") is digits
    with pytest.raises(ConfigError, match="--filters: expected none for the features pixels, found one: leave it out"):
        load_features(digits, "pixels", FEW)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("other", FeatureSettings(), "features: expected pixels, patches, .* or an .onnx file, found 'other'"),
        ("resnet18", FeatureSettings(), "features: expected RGB images for resnet18, found L: use --color RGB"),
        ("patches", FeatureSettings(output="x"), "--features-output: expected none for the features patches"),
        ("none.onnx", FeatureSettings(), "none.onnx: expected an ONNX file"),
    ],
)
def test_what_cannot_be(digits: Dataset, name: str, settings: FeatureSettings, message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        load_features(digits, name, settings)


@pytest.mark.parametrize("solver", ["auto", "sgd", "lbfgs"])
def test_the_regression_is_fitted_to_them(digits: Dataset, solver: str) -> None:
    """With every solver, better than pixels; the checkpoint has all that export needs."""
    data = load_features(digits, "patches", FeatureSettings(filters=32))
    fitted = fit(data, FitConfig(solver=solver, epochs=5 if solver == "sgd" else None, device="cpu"))
    assert (fitted.history[-1].test_accuracy or 0) > 0.965
    checkpoint = fitted.checkpoint
    assert checkpoint.features == data.features
    assert checkpoint.weights.shape == (512, 10)
    assert checkpoint.golden_images.shape[1:] == (8, 8, 1)
    assert len(checkpoint.sample_images) >= 32


def test_a_run_on_features(run_kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained, reported, exported and classified by the command line; a start from pixels is refused."""
    monkeypatch.chdir(tmp_path)
    arguments = ["train", "--data", "digits", "--features", "patches", "--filters", "8", "--out", "run"]
    assert run_kit(*arguments).exit_code == 0
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *("model.safetensors", "history.csv", "report.json", "MODEL_CARD.md", "predictions.csv", "train.toml"),
        *("curves.png", "confusion.png", "mistakes.png", "probabilities.png", "report.html"),
    }
    card = (tmp_path / "run" / "MODEL_CARD.md").read_text()
    assert "the 128 features that patches makes of an image (8 × 8 × 1,\nuint8, 0-255, greyscale)" in card
    assert "weights.png" not in card
    assert run_kit("export", "run", "--format", "onnx").exit_code == 0
    found = run_kit("evaluate", "--model", "run/model.onnx", "--data", "digits")
    assert found.stdout.startswith("digits: 360 test images, accuracy 0.9")
    assert run_kit(*arguments, "--resume").exit_code == 0
    other = run_kit("train", "--data", "digits", "--from", "run", "--out", "other")
    assert other.exit_code == 1
    assert "expected a model of the same features to start from, pixels, found one of patches" in other.stderr

"""What is asked of features that they cannot do: images too small for a network, filters out of range."""

import numpy as np
import pytest

from tests.interpreter import Kit
from trainer import ConfigError, Dataset, FeatureSettings, Split, load_features
from trainer.features.kinds import KINDS


def colour(side: int) -> Dataset:
    images = np.random.default_rng(0).integers(0, 256, (8, side, side, 3), np.uint8)
    split = Split.of(images, np.arange(8) % 2)
    return Dataset(name="colour", labels=("a", "b"), train=split, test=split)


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.color])
@pytest.mark.parametrize("side", [1, 31])
def test_images_too_small_for_a_network(name: str, side: int) -> None:
    with pytest.raises(
        ConfigError,
        match=f"expected images of at least 32 × 32 pixels for {name}, found {side} × {side}: raise --image-size",
    ):
        load_features(colour(side), name)


@pytest.mark.parametrize("filters", [-1, 0, 1, 4097])
def test_filters_out_of_range(filters: int, run_kit: Kit) -> None:
    with pytest.raises(ConfigError, match=f"filters: expected 2 to 4,096, found {filters}"):
        FeatureSettings(filters=filters)
    result = run_kit("train", "--data", "digits", "--features", "patches", f"--filters={filters}")
    assert result.exit_code == 2
    assert "is not in the range 2<=x<=4096" in result.stderr

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models

from runtime.digest import digest
from trainer.errors import ConfigError, DataError
from trainer.features import torchvision_models
from trainer.features.graph import opened


def made_up(name: str, path: Path) -> nn.Module:
    """Write random weights, with batch norms that have an effect; returns the network."""
    torch.manual_seed(0)
    network: nn.Module = models.get_model(name).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = 0.1 * torch.randn(module.num_features)
            module.running_var = 0.5 + torch.rand(module.num_features)
    torch.save(network.state_dict(), path)
    return network


@pytest.mark.parametrize("name", torchvision_models.HEADS)
def test_the_features_are_torchs(tmp_path: Path, name: str) -> None:
    network = made_up(name, tmp_path / "weights.pth")
    setattr(network, torchvision_models.HEADS[name], nn.Identity())
    graph = torchvision_models.build(name, weights=tmp_path / "weights.pth", image_size=40)
    images = np.random.default_rng(1).integers(0, 256, (2, 40, 40, 3), np.uint8)
    transforms = models.get_model_weights(name).DEFAULT.transforms(crop_size=40, resize_size=40)
    with torch.inference_mode():
        expected = network(transforms(torch.from_numpy(images).permute(0, 3, 1, 2))).numpy()
    found = opened(graph.data, name)(images)
    assert found.shape == (2, graph.size)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())  # float32 sums
    assert graph.about["weights"]["source"] == "weights.pth"


def test_the_size_is_that_of_the_weights() -> None:
    sizes = {tuple(models.get_model_weights(name).DEFAULT.transforms().crop_size) for name in torchvision_models.HEADS}
    assert sizes == {(torchvision_models.SIZE,)}


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch's cache of weights, not there yet."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


def test_weights_that_are_not_in_the_cache(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=re.escape(f"resnet18: expected its weights in {checkpoints}/resnet18-")):
        torchvision_models.build("resnet18")
    assert not checkpoints.exists()

    def offline(*_: Any, **__: Any) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(DataError, match=r"resnet18: expected to download https://.*could not .*no network"):
        torchvision_models.build("resnet18", download=True)


def test_the_cache(checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up("mobilenet_v3_small", tmp_path / "weights.pth")
    data = (tmp_path / "weights.pth").read_bytes()
    preset = SimpleNamespace(url=f"https://example.org/net-{digest(data)[7:15]}.pth")
    fetched: list[str] = []

    def download(url: str, path: str, prefix: str, *, progress: bool) -> None:
        assert (prefix, progress) == (digest(data)[7:15], False)
        fetched.append(url)
        Path(path).write_bytes(data)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    for may_download in (True, False):
        assert torchvision_models._own_weights("net", preset, download=may_download).digest == digest(data)
    assert fetched == [preset.url]
    next(checkpoints.iterdir()).write_bytes(data + b"!")
    with pytest.raises(DataError, match="expected weights with the digest sha256:"):
        torchvision_models._own_weights("net", preset, download=False)


def test_a_torchvision_of_another_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def importing(name: str, *_: Any, **__: Any) -> Any:
        raise RuntimeError(f"operator torchvision::nms does not exist: {name}")

    monkeypatch.setattr("builtins.__import__", importing)
    with pytest.raises(ConfigError, match="expected a matching pair of torch and torchvision"):
        torchvision_models._torchvision_models()

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from runtime.digest import digest
from trainer.errors import ConfigError, DataError, TrainerError
from trainer.features.weights import load_weights, read_weights


def network(channels: int = 4) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, channels, 3), nn.BatchNorm2d(channels))


class Code:
    """Runs when it is unpickled by anything that trusts it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("ran"),)


def save(path: Path, document: object) -> None:
    """Write a file of the kind that its name says."""
    if path.suffix == ".pth":
        torch.save(document, path)
    else:
        save_file(cast(Any, document), path)


def save_cut(path: Path) -> None:
    save(path, network().state_dict())
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_what_was_saved_is_loaded(tmp_path: Path, suffix: str) -> None:
    saved, path = network(), tmp_path / f"weights{suffix}"
    tensors = saved.state_dict() | {"head.weight": torch.zeros(2, 4)}
    save(path, tensors)
    found = read_weights(path, digest=digest(path.read_bytes())[:15])
    assert found.about() == {
        "digest": digest(path.read_bytes()),
        "licence": "NOASSERTION",
        "source": path.name,
    }
    loaded = network()
    load_weights(loaded, found, "net", head="head.")
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in saved.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("0.bias"), "found a file without 0.bias: name the weights of this network"),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), "found a file with extra: name"),
        (
            lambda tensors: tensors.update(network(5).state_dict()),
            "found a file of another shape: 0.bias [5] in place of [4], "
            "0.weight [5, 3, 3, 3] in place of [4, 3, 3, 3], 1.bias [5] in place of [4] and 3 more: name",
        ),
    ],
)
def test_weights_of_another_network(tmp_path: Path, change: Callable[[Any], None], message: str) -> None:
    tensors = network().state_dict()
    change(tensors)
    save_file(tensors, tmp_path / "weights.safetensors")
    found = read_weights(tmp_path / "weights.safetensors")
    with pytest.raises(DataError, match=re.escape(f"expected the weights of net, {message}")):
        load_weights(network(), found, "net", head="head.")


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("code.pth", lambda path: save(path, {"x": Code()}), "found a damaged file or one with code"),
        ("cut.pth", save_cut, "found a damaged file or one with code"),
        ("empty.pth", lambda path: path.touch(), "found a damaged file or one with code"),
        ("list.pth", lambda path: save(path, [torch.zeros(1)]), "expected a state_dict, tensors by name"),
        ("numbers.pth", lambda path: save(path, {"x": 1}), "expected a state_dict, tensors by name"),
        ("cut.safetensors", save_cut, "expected weights in safetensors, found a damaged file"),
        ("empty.safetensors", lambda path: path.touch(), "expected weights in safetensors, found a damaged file"),
        ("absent.pth", lambda path: None, "expected a file of weights, found none that can be read"),  # noqa: ARG005
        ("folder.pth", lambda path: path.mkdir(), "expected a file of weights, found none that can be read"),
        ("pipe.pth", lambda path: os.mkfifo(path), "expected weights, found a device or a pipe: name a file"),
    ],
)
def test_a_file_of_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, make: Callable[[Path], object], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / name)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        read_weights(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("version", ["2.9.1", "2.5.0+cpu", "unknown"])
def test_an_older_torch_reads_no_pickle_of_unknown_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(network().state_dict(), path)
    monkeypatch.setattr(torch, "__version__", version)
    with pytest.raises(ConfigError, match=re.escape(f"expected torch 2.10 or newer to read it, found {version}")):
        read_weights(path)
    with pytest.raises(ConfigError, match=re.escape("expected torch 2.10 or newer")):  # eight digits are no proof
        read_weights(path, digest=digest(path.read_bytes())[:15])
    assert read_weights(path, digest=digest(path.read_bytes())).tensors


def test_another_digest(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"x")
    with pytest.raises(TrainerError, match="expected weights with the digest sha256:00, found sha256:2d71"):
        read_weights(tmp_path / "weights.pth", digest="sha256:00")

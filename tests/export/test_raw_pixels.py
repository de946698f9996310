"""Modules of torch on raw pixels, against torch's own functions in float64."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from export import ExportError
from export.arithmetic.fold import Folded
from export.raw_pixels import RawPixels, SoftmaxRegression, TorchArtefact, described, run, run_in_float64
from runtime.artefact import EXTRA_FILE, Metadata, dumps
from runtime.golden import Golden
from runtime.image import ImageContract

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3, 2), np.uint8)


def metadata() -> Metadata:
    golden = Golden(np.zeros((1, 4, 3, 1), np.uint8), np.full((1, 2), 0.5, np.float32), tolerance=1e-5)
    return Metadata(("a", "b"), ImageContract(height=4, width=3), None, golden, {})


def test_softmax_regression() -> None:
    generator = np.random.default_rng(1)
    weights = generator.normal(0, 0.01, (24, 3)).astype(np.float32)
    bias = generator.normal(size=3).astype(np.float32)
    found = run(SoftmaxRegression(Folded(weights=weights, bias=bias)), IMAGES)
    logits = IMAGES.reshape(5, 24).astype(np.float64) @ weights + bias
    assert found.shape == (5, 3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, torch.softmax(torch.from_numpy(logits), dim=1), rtol=0, atol=1e-6)


def test_a_module_on_normalised_images() -> None:
    """Each channel has its own mean and standard deviation; the module gets [N, C, H, W]."""
    mean, std = torch.tensor([0.25, 0.5]).double(), torch.tensor([0.5, 2.0]).double()
    found = run(RawPixels(torch.nn.Flatten(), mean, std), IMAGES)
    normalised = (IMAGES.astype(np.float64) / 255 - mean.numpy()) / std.numpy()
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, normalised.transpose(0, 3, 1, 2).reshape(5, 24), rtol=1e-12)


def cast(x: torch.Tensor) -> torch.Tensor:
    return x.to(torch.float32)


def typed(x: torch.Tensor) -> torch.Tensor:
    return x.type(torch.float32)


def filled(x: torch.Tensor) -> torch.Tensor:
    y = torch.zeros(x.shape)
    y[:] = x
    return y


def explicit(x: torch.Tensor) -> torch.Tensor:
    return x @ torch.eye(24, dtype=torch.float32)


def literal(x: torch.Tensor) -> torch.Tensor:
    return x * torch.tensor([1.0]) + torch.nn.functional.linear(x, torch.zeros(24, 24, dtype=torch.float32))


def complex_numbers(x: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = torch.fft.ifft(torch.fft.fft(x).to(torch.complex64) @ torch.eye(24, dtype=torch.complex64))
    return result.real


class Through(torch.nn.Module):
    """The flattened images, by way of a function."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x.flatten(1))


@pytest.mark.parametrize("function", [cast, typed, filled, explicit, literal, complex_numbers])
def test_float64_throughout(function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """What asks for float32 gets float64, which differs in the eighth digit; the default of torch stays."""
    mean, std = torch.tensor([1 / 3, 1 / 7]).double(), torch.tensor([0.3, 0.7]).double()
    expected = run(RawPixels(torch.nn.Flatten(), mean, std), IMAGES)
    found = run_in_float64(RawPixels(Through(function), mean, std), IMAGES)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert torch.get_default_dtype() == torch.float32


def test_a_failure_in_float64_leaves_the_default_of_torch() -> None:
    def fail(_: torch.Tensor) -> torch.Tensor:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_in_float64(RawPixels(Through(fail), torch.zeros(1).double(), torch.ones(1).double()), IMAGES)
    assert torch.get_default_dtype() == torch.float32


def test_a_file_that_torch_loads_and_cannot_run(tmp_path: Path) -> None:
    class Fails(torch.nn.Module):
        def forward(self, _: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("no")

    def load(_: Path, extra: dict[str, str]) -> torch.nn.Module:
        extra[EXTRA_FILE] = dumps(metadata().to_json())
        return Fails()

    artefact = TorchArtefact(tmp_path / "model", "TorchScript", load)
    message = (
        "expected a TorchScript file that runs, found one that fails for 5 images (RuntimeError: no): export to onnx"
    )
    with pytest.raises(ExportError, match=re.escape(message)):
        artefact.probabilities(IMAGES)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RuntimeError("one\n  two"), "RuntimeError: one two"),
        (ValueError(), "ValueError: ValueError"),
        (
            RuntimeError("failed in the TorchScript interpreter.\n  where\nRuntimeError: what\n"),
            "RuntimeError: RuntimeError: what",
        ),
    ],
)
def test_what_is_said_of_an_error(error: Exception, text: str) -> None:
    assert described(error) == text
    outer = RuntimeError("advice")
    outer.__cause__ = error
    assert described(outer) == text

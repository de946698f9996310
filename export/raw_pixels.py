"""Modules of torch that take raw pixels, as an artefact does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from runtime.artefact import EXTRA_FILE, from_text
from runtime.image import Pixels
from runtime.text import one_line

from .arithmetic.centre import Centred
from .arithmetic.fold import Folded
from .errors import ExportError
from .gate.parity import Probabilities

DOUBLED = {torch.float32: torch.float64, torch.complex64: torch.complex128}


class SoftmaxRegression(torch.nn.Module):
    """The folded model: uint8 [N, H, W, C] → float32 [N, K]."""

    weights: Tensor
    bias: Tensor

    def __init__(self, numbers: Folded) -> None:
        super().__init__()
        self.register_buffer("weights", torch.from_numpy(numbers.weights))
        self.register_buffer("bias", torch.from_numpy(numbers.bias))

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [N, H, W, C] → float32 [N, K]."""
        features = images.flatten(1).to(torch.float32)
        return torch.softmax(torch.addmm(self.bias, features, self.weights), dim=1)


class CentredSoftmaxRegression(torch.nn.Module):
    """The same for images of low contrast: uint8 [N, H, W, C] → float32 [N, K]."""

    centre: Tensor
    multiples: Tensor
    step: Tensor
    rest: Tensor
    bias: Tensor

    def __init__(self, numbers: Centred) -> None:
        super().__init__()
        self.register_buffer("centre", torch.from_numpy(numbers.centre.astype(np.float32)))
        self.register_buffer("multiples", torch.from_numpy(numbers.multiples))
        self.register_buffer("step", torch.from_numpy(numbers.step))
        self.register_buffer("rest", torch.from_numpy(numbers.rest))
        self.register_buffer("bias", torch.from_numpy(numbers.bias))

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [N, H, W, C] → float32 [N, K]."""
        features = (images.to(torch.float32) - self.centre).flatten(1)
        sums = features @ self.multiples
        behind = sums - sums.amax(dim=1, keepdim=True)
        return torch.softmax(behind * self.step + torch.addmm(self.bias, features, self.rest), dim=1)


class RawPixels(torch.nn.Module):
    """A module on raw pixels around one on normalised float images, with the outputs of that.

    module: floating-point [N, C, H, W] → outputs.
    mean, std: [C]; the module's input is (pixel / 255 − mean) / std.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, module: torch.nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.module = module
        self.register_buffer("mean", mean[:, None, None])
        self.register_buffer("std", std[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [N, H, W, C] → the module's outputs; it computes in the dtype of mean and std."""
        pixels = images.permute(0, 3, 1, 2).to(self.mean.dtype)
        return self.module((pixels / 255 - self.mean) / self.std)  # type: ignore[no-any-return]


class TorchArtefact:
    """An artefact opened by torch.

    kind: the file's format, for messages.
    load: returns the module at a path, and fills in the extra files by name.
    Raises ExportError for a file that torch refuses or cannot run, and ArtefactError for metadata that are not valid.
    """

    def __init__(self, path: Path, kind: str, load: Callable[[Path, dict[str, str]], torch.nn.Module]) -> None:
        self._kind, extra = kind, {EXTRA_FILE: ""}
        try:
            self._module = load(path, extra)
        except (RuntimeError, ValueError, BadZipFile) as error:
            reason = one_line(error)[:200]
            raise ExportError(f"{path}: expected a {kind} file, found one that torch refuses ({reason})") from None
        self.metadata = from_text(extra[EXTRA_FILE])

    def probabilities(self, pixels: Pixels) -> Probabilities:
        """uint8 [N, H, W, C] → float32 [N, K]."""
        return self._run(pixels)[0]

    def embed(self, pixels: Pixels) -> Probabilities:
        """uint8 [N, H, W, C] → float32 [N, D], of a file that carries features."""
        return self._run(pixels)[1]

    def _run(self, pixels: Pixels) -> list[Probabilities]:
        try:
            with torch.inference_mode():
                found = self._module(torch.from_numpy(np.array(pixels)))
                return [part.numpy() for part in (found if isinstance(found, tuple) else (found,))]
        except Exception as error:  # torch.jit.Error is none of its RuntimeErrors
            raise ExportError(
                f"expected a {self._kind} file that runs, found one that fails for {len(pixels)} images "
                f"({described(error)}): export to onnx"
            ) from error


def run(module: torch.nn.Module, pixels: Pixels) -> Probabilities:
    """Run a torch module: uint8 [N, H, W, C] → [N, K]."""
    with torch.inference_mode():
        result: Probabilities = module(torch.from_numpy(np.array(pixels))).numpy()
    return result


def run_in_float64(module: torch.nn.Module, pixels: Pixels) -> Probabilities:
    """Do the same in float64 throughout, what the module asks for in float32 included."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _InFloat64():  # type: ignore[no-untyped-call]
            return run(module, pixels)
    finally:
        torch.set_default_dtype(usual)


class _InFloat64(TorchDispatchMode):
    """Gives every operation float64 for float32: for dtypes, as in x.float(), and for constants."""

    def __torch_dispatch__(self, function: Any, _: Any, arguments: Any = (), named: Any = None) -> Any:
        arguments, named = tree_map(_doubled, (arguments, named or {}))
        return function(*arguments, **named)


def _doubled(value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype in DOUBLED:
        return value.to(DOUBLED[value.dtype])
    return DOUBLED.get(value, value) if isinstance(value, torch.dtype) else value


def described(error: BaseException) -> str:
    """Name the type of the error that caused it, and what it says; torch wraps it in advice for its own developers."""
    while error.__cause__:
        error = error.__cause__
    text = str(error).rstrip()
    if "TorchScript interpreter" in text:  # which tells where first, then what
        text = text.splitlines()[-1]
    return f"{type(error).__name__}: {one_line(text or error)[:200]}"

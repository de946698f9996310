"""TorchScript: scripted and frozen, for torch in Python and LibTorch."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from runtime.artefact import EXTRA_FILE, Metadata, dumps, from_text
from runtime.image import Pixels
from trainer.checkpoint import Checkpoint

from .errors import ExportError
from .fold import fold
from .parity import Artefact


class SoftmaxRegression(torch.nn.Module):
    """The model as TorchScript sees it: raw pixels in, probabilities out."""

    weights: Tensor
    bias: Tensor

    def __init__(self, weights: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights)
        self.register_buffer("bias", bias)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [N, H, W, C] → float32 [N, K]."""
        features = images.flatten(1).to(torch.float32)
        return torch.softmax(torch.addmm(self.bias, features, self.weights), dim=1)


class TorchScriptArtefact:
    """A TorchScript artefact opened by torch."""

    def __init__(self, path: Path) -> None:
        extra = {EXTRA_FILE: ""}
        try:
            with _jit_without_warning():
                self._module = torch.jit.load(str(path), map_location="cpu", _extra_files=extra)
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ExportError(f"{path}: expected a TorchScript file, found one that torch refuses ({reason})") from None
        self.metadata: Metadata = from_text(extra[EXTRA_FILE])

    def probabilities(self, pixels: Pixels) -> NDArray[np.float32]:
        """uint8 [N, H, W, C] → float32 [N, K]."""
        with torch.inference_mode():
            result: NDArray[np.float32] = self._module(torch.from_numpy(np.array(pixels))).numpy()
        return result


def write(checkpoint: Checkpoint, metadata: Metadata) -> bytes:
    """Write the model as a TorchScript file."""
    weights, bias = (torch.from_numpy(array.astype(np.float32)) for array in fold(checkpoint))
    file = io.BytesIO()
    with _jit_without_warning():
        module = torch.jit.freeze(torch.jit.script(SoftmaxRegression(weights, bias).eval()))
        torch.jit.save(module, file, _extra_files={EXTRA_FILE: dumps(metadata.to_json())})
    return file.getvalue()


def open_artefact(path: Path) -> Artefact:
    """Open a TorchScript artefact with torch."""
    return TorchScriptArtefact(path)


@contextmanager
def _jit_without_warning() -> Iterator[None]:
    """Silence what torch.jit says of its own deprecation; the format is asked for by name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*torch\.jit", category=FutureWarning)
        warnings.filterwarnings("ignore", message=r".*torch\.jit", category=DeprecationWarning)
        yield

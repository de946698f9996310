"""A torch.export program, the successor of TorchScript, for any batch size."""

import io
from pathlib import Path

import torch

from runtime.artefact import EXTRA_FILE, Metadata, dumps

from ..arithmetic.fold import Numbers, prepare
from ..gate.parity import Artefact
from ..networks import softmax_regression
from ..raw_pixels import TorchArtefact
from .compatibility import Target

__all__ = ["open_artefact", "prepare", "write"]

OF_THE_SOURCE = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn")


def write(numbers: Numbers, metadata: Metadata, target: Target) -> bytes:  # noqa: ARG001 - the same call for every format
    """Write the model as a torch.export program."""
    example = torch.zeros((2, *metadata.image.shape), dtype=torch.uint8)
    program = torch.export.export(
        softmax_regression(numbers).eval(), (example,), dynamic_shapes=({0: torch.export.Dim("N")},)
    )
    for node in program.graph.nodes:
        for name in OF_THE_SOURCE:
            node.meta.pop(name, None)
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={EXTRA_FILE: dumps(metadata.to_json())})
    return file.getvalue()


def open_artefact(path: Path) -> Artefact:
    """Open a .pt2 artefact with torch."""
    return TorchArtefact(path, "torch.export", _load)


def _load(path: Path, extra: dict[str, str]) -> torch.nn.Module:
    with path.open("rb") as file:
        return torch.export.load(file, extra_files=extra).module()

"""torch.export's program, TorchScript's successor, with any number of images."""

import io
from pathlib import Path

import torch

from runtime.artefact import EXTRA_FILE, Metadata, dumps, from_text
from runtime.image import Pixels

from ..errors import ExportError
from ..fold import Folded, prepare
from ..parity import Artefact, Probabilities
from ..raw_pixels import SoftmaxRegression, run
from ..target import Target

__all__ = ["open_artefact", "prepare", "write"]

OF_THE_SOURCE = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn")


class ProgramArtefact:
    """A .pt2 artefact opened by torch."""

    def __init__(self, path: Path) -> None:
        extra = {EXTRA_FILE: ""}
        try:
            with path.open("rb") as file:
                self._module = torch.export.load(file, extra_files=extra).module()
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ExportError(
                f"{path}: expected a torch.export file, found one that torch refuses ({reason})"
            ) from None
        self.metadata: Metadata = from_text(extra[EXTRA_FILE])

    def probabilities(self, pixels: Pixels) -> Probabilities:
        """uint8 [N, H, W, C] → float32 [N, K]."""
        return run(self._module, pixels)


def write(numbers: Folded, metadata: Metadata, target: Target) -> bytes:  # noqa: ARG001 - the same call for every format
    """Write the model as torch.export's program."""
    example = torch.zeros((2, *metadata.image.shape), dtype=torch.uint8)
    program = torch.export.export(
        SoftmaxRegression(numbers).eval(), (example,), dynamic_shapes=({0: torch.export.Dim("N")},)
    )
    for node in program.graph.nodes:
        for name in OF_THE_SOURCE:
            node.meta.pop(name, None)
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={EXTRA_FILE: dumps(metadata.to_json())})
    return file.getvalue()


def open_artefact(path: Path) -> Artefact:
    """Open a .pt2 artefact with torch."""
    return ProgramArtefact(path)

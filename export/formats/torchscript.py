"""TorchScript: scripted and frozen, for torch in Python and LibTorch."""

import io
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from runtime.artefact import EXTRA_FILE, Metadata, dumps

from ..arithmetic.fold import Numbers, prepare
from ..gate.parity import Artefact
from ..networks import softmax_regression
from ..raw_pixels import TorchArtefact
from .compatibility import Target

__all__ = ["open_artefact", "prepare", "save", "write"]

VARYING = (".debug_pkl", "/serialization_id")
NUMBERED = re.compile(rb"___torch_mangle_(\d+)")
CODE = re.compile(r"/code/|/(data|constants)\.pkl$")


def write(numbers: Numbers, metadata: Metadata, target: Target) -> bytes:  # noqa: ARG001 - the same call for every format
    """Write the model as a TorchScript file; equal arguments and versions of torch give equal bytes."""
    return save(softmax_regression(numbers), metadata)


def save(module: torch.nn.Module, metadata: Metadata) -> bytes:
    """Script and freeze a module that takes raw pixels, and write it with its metadata."""
    file = io.BytesIO()
    with _jit_without_warning():
        scripted = torch.jit.freeze(torch.jit.script(module.eval()))
        torch.jit.save(scripted, file, _extra_files={EXTRA_FILE: dumps(metadata.to_json())})
    return settled(file.getvalue())


def settled(data: bytes) -> bytes:
    """Rewrite a TorchScript file so that its bytes depend on the model alone.

    Drops the source locations, which contain paths of this machine, and the serialization id, a hash of everything
    else. Numbers the classes from 0; torch counts them over a process.
    """
    numbers: dict[bytes, int] = {}

    def renumbered(content: bytes) -> bytes:
        return NUMBERED.sub(lambda found: b"___torch_mangle_%d" % numbers.setdefault(found[1], len(numbers)), content)

    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(file, "w") as target:
        for name in source.namelist():
            if not name.endswith(VARYING):
                content = source.read(name)
                item = zipfile.ZipInfo(renumbered(name.encode()).decode())
                target.writestr(item, renumbered(content) if CODE.search(name) else content)
    return file.getvalue()


def open_artefact(path: Path) -> Artefact:
    """Open a TorchScript artefact with torch."""
    return TorchArtefact(path, "TorchScript", _load)


def _load(path: Path, extra: dict[str, str]) -> torch.nn.Module:
    with _jit_without_warning():
        module: torch.nn.Module = torch.jit.load(str(path), map_location="cpu", _extra_files=extra)
    return module


@contextmanager
def _jit_without_warning() -> Iterator[None]:
    """Silence torch.jit's warning of its deprecation: the user chose the format by name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*torch\.jit", category=FutureWarning)
        warnings.filterwarnings("ignore", message=r".*torch\.jit", category=DeprecationWarning)
        yield

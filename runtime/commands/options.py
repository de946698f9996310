"""Options that several commands have."""

import os
from pathlib import Path
from typing import Any

import click

from ..backend import BACKENDS
from ..errors import ArtefactError
from ..session import AUTO
from ..web.reading import is_web

CHECKPOINT, IN_RUN = "model.safetensors", "model.onnx"  # in a run's folder


class ArtefactPath(click.Path):
    """An artefact's path; that of a run's folder stands for the ONNX artefact in it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the artefact's path. Raises ArtefactError for a run that has none."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        # Path raises for a name that is too long
        if os.path.isfile(path / IN_RUN) and not is_web(path):  # noqa: PTH113
            return path / IN_RUN
        if os.path.isfile(path / CHECKPOINT):  # noqa: PTH113
            raise ArtefactError(f"{path}: expected {IN_RUN} in the run, found none: kit export {path}")
        return path


ARTEFACT = ArtefactPath(path_type=Path)

backend_option = click.option(
    "--backend", type=click.Choice(BACKENDS), default=AUTO, show_default=True,
    help="What computes; auto is onnxruntime where that is installed, else numpy.",
)  # fmt: skip

"""Reads a model for browsers again: the folder or the page that `kit export` wrote."""

from __future__ import annotations

import binascii
import os
import re
from pathlib import Path
from typing import NamedTuple

from ..artefact import Metadata
from ..entries import data
from ..errors import ArtefactError
from ..files import reason
from ..loading import load, read_artefact
from ..origin import raised_by

MODULE, TYPES, MODEL, README, PACKAGE = "softmax-kit.mjs", "softmax-kit.d.ts", "model.onnx", "README.md", "package.json"
FILES = (MODULE, MODEL, TYPES, README, PACKAGE)
PAGE = ".html"
PARTS = re.compile(
    rb'<script type="text/plain" id="model">([A-Za-z0-9+/=]*)</script>\s*'
    rb'<script type="module">(.*?)</script>',
    re.DOTALL,
)


class WebSource(NamedTuple):
    """A model for browsers.

    module: the source of the ES module, and of a page what makes it one.
    model: the onnx-int8 artefact.
    size: bytes of all files.
    """

    module: bytes
    model: bytes
    size: int

    @property
    def metadata(self) -> Metadata:
        """What goes with the model. Raises ArtefactError."""
        return load(self.model).metadata


def is_web(path: Path) -> bool:
    """Whether a path is that of a model for browsers: a folder with its module, or a page."""
    return path.name.lower().endswith(PAGE) or os.path.isfile(path / MODULE)  # noqa: PTH113 - Path raises for some names


def read_web(path: Path) -> WebSource:
    """Read a folder or a page. Raises ArtefactError."""
    if path.is_dir():
        files = [read_artefact(path / name) for name in FILES]
        return WebSource(files[0], files[1], sum(map(len, files)))
    content = read_artefact(path)
    found = PARTS.findall(content)
    try:
        if len(found) != 1:
            raise ValueError(f"{len(found)} models in it")
        ((model, module),) = found
        return WebSource(module, data(model), len(content))
    except (ValueError, binascii.Error) as error:
        if not raised_by(error):
            raise
        raise ArtefactError(
            f"{path}: expected a page that `kit export --format html` wrote, found: {reason(error)}: export it again"
        ) from None


def files_in(path: Path) -> list[str]:
    """Names of the files that an export has written to a folder; none where there is no such folder."""
    return list(FILES) if path.is_dir() and all((path / name).is_file() for name in FILES) else []

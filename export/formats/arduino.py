"""A library for Arduino and PlatformIO: a zip file of the same C99."""

import io
import zipfile

from runtime.artefact import EXTRA_FILE, Metadata

from ..arithmetic.quantise import Quantised
from ..c.source import library
from . import c
from .c import in_8_bits, open_artefact, prepare
from .compatibility import Target

__all__ = ["in_8_bits", "open_artefact", "prepare", "write"]

EPOCH = (1980, 1, 1, 0, 0, 0)  # the time of each entry, so that equal models give equal bytes


def write(numbers: Quantised, metadata: Metadata, target: Target) -> bytes:
    """Write the library; equal arguments give equal bytes."""
    files = c.write(numbers, metadata, target)
    name = next(file.removesuffix(".h") for file in files if file.endswith(".h"))
    placed = {
        **library(name, metadata),
        "README.md": files["README.md"],
        f"extras/{EXTRA_FILE}": files[EXTRA_FILE],
        **{f"src/{name}.{kind}": files[f"{name}.{kind}"] for kind in "hc"},
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in placed.items():
            entry = zipfile.ZipInfo(f"{name}/{path}", EPOCH)
            entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
            archive.writestr(entry, data)
    return content.getvalue()

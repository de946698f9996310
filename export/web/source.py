"""The folder and the page of a model for browsers: the sources beside this module, with its onnx-int8 artefact."""

import base64
import re
from hashlib import sha256
from pathlib import Path
from string import Template

from runtime.artefact import Metadata
from runtime.web.node import OLDEST
from runtime.web.reading import MODEL, MODULE, PACKAGE, README, TYPES

SOURCES = Path(__file__).parent
COLORS = {"L": "grey", "RGB": "RGB"}


def folder(model: bytes, metadata: Metadata) -> dict[str, bytes]:
    """Write the files of the folder, by name."""
    image = metadata.image
    about = {
        "digest": metadata.provenance.get("checkpoint", ""), "oldest": OLDEST, "width": image.width,
        "height": image.height, "color": COLORS[image.color], "classes": len(metadata.labels),
    }  # fmt: skip
    return {
        MODULE: compact(MODULE).encode(),
        TYPES: _read(TYPES).encode(),
        MODEL: model,
        README: Template(_read("README.md.in")).substitute(about).encode(),
        PACKAGE: _read(PACKAGE).encode(),
    }


def page(model: bytes) -> bytes:
    """Write the page. Labels and names are in the model alone, in base64, and reach the page as text."""
    script, style = compact(MODULE) + compact("page.mjs"), compact("page.css")
    parts = {"script": script, "style": style, "script_digest": _digest(script), "style_digest": _digest(style)}
    return Template(compact("page.html.in")).substitute(parts, model=base64.b64encode(model).decode()).encode()


def compact(name: str) -> str:
    """Read a source without its indentation and the lines that are comments."""
    return re.sub(r"^ *(?://.*)?\n?", "", _read(name), flags=re.MULTILINE)


def _read(name: str) -> str:
    return (SOURCES / name).read_text(encoding="utf-8")


def _digest(inline: str) -> str:
    """The source expression by which a content security policy allows an inline script or style."""
    return f"sha256-{base64.b64encode(sha256(inline.encode()).digest()).decode()}"

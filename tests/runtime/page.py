"""docs/artefact.md: its example and schema; and the metadata of an artefact, read without the kit's code."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import onnx
import onnxruntime

from export.formats import FORMATS, LITERT

PAGE = Path(__file__).parents[2] / "docs" / "artefact.md"
BLOCKS = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
EXAMPLE, LATER_EXAMPLE, SCHEMA = map(json.loads, BLOCKS)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def texts_of(name: str, path: Path) -> dict[str, str]:
    """The entries of an artefact as JSON texts, read without any of the kit's code."""
    if FORMATS[name].suffix.endswith(".onnx"):
        props = {item.key: item.value for item in onnx.load(path).metadata_props}
    elif name == "ort":
        props = onnxruntime.InferenceSession(path.read_bytes()).get_modelmeta().custom_metadata_map
    elif FORMATS[name].runs_on == LITERT:
        from ai_edge_litert.schema_py_generated import ModelT

        model = ModelT.InitFromPackedBuf(path.read_bytes())
        (buffer,) = [entry.buffer for entry in model.metadata if entry.name == b"kit.json"]
        return {"": bytes(model.buffers[buffer].data).decode()}
    else:
        with zipfile.ZipFile(path) as file:
            (entry,) = [entry for entry in file.namelist() if entry.endswith("/extra/kit.json")]
            return {"": file.read(entry).decode()}
    return {key.removeprefix("kit."): text for key, text in props.items() if key != "kit.seal"}


def document_of(name: str, path: Path) -> dict[str, Any]:
    entries = {entry: json.loads(text) for entry, text in texts_of(name, path).items()}
    document: dict[str, Any] = entries.get("", entries)
    return document

"""`kit inspect`: describes what is in an artefact of any format, without torch and without running code from it."""

import io
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ..artefact import EXTRA_FILE, Metadata, from_props, from_text
from ..backend import open_backend, type_of
from ..c.reading import is_source, read_source
from ..classifier import Classifier
from ..digest import digest
from ..entries import PREFIX
from ..errors import ArtefactError
from ..image import Pixels
from ..loading import ZIP_START, read_artefact
from ..origin import raised_by
from ..seal import format_of
from ..session import Settings
from ..text import as_json, complain, printable, say
from ..web.reading import is_web, read_web
from .options import ARTEFACT

# The entries that torch.jit.save writes, and torch.export.save since torch 2.8, and before it.
ZIP_FORMATS = {"torchscript": r"[^/]+/constants\.pkl", "pt2": r"[^/]+/archive_format|serialized_exported_program\.json"}
ZIP_ENTRY = rf"(?:[^/]+/extra|extra_files)/{re.escape(EXTRA_FILE)}"
MAX_ENTRY_BYTES = 64 * 2**20
SHOWN, LONGEST = 12, 500  # entries of a list, and characters of a line, in the text output


@click.command()
@click.argument("artefact", type=ARTEFACT)
@click.option("--json", "as_document", is_flag=True, help="Print the description as JSON.")
def inspect(artefact: Path, as_document: bool) -> None:
    """Describe ARTEFACT, in any format that `kit export` writes: labels, image contract, provenance and more.

    For a model that is not a valid artefact, prints what the file contains and what is missing, and exits 1.
    """
    try:
        found = describe(artefact)
        text = as_json(found) if as_document else as_text(found)
    except RecursionError:
        complain(f"{artefact}: expected metadata of a few levels, found some too deeply nested: export it again")
        sys.exit(1)
    say(text)
    if "error" in found:
        complain(found["error"])
        sys.exit(1)


def describe(path: Path) -> dict[str, Any]:
    """Describe the content of a file, ready for JSON.

    Of a model that is not an artefact for this runtime, `error` says why, and the parts after the fault are left out.
    Raises ArtefactError where the file is not a model.
    """
    if is_source(path):
        return _of_source(path)
    if is_web(path):
        return _of_web(path)
    data = read_artefact(path)
    parts = _zip_parts(data) if data.startswith(ZIP_START) else _onnx_parts(data)
    found: dict[str, Any] = {}
    try:
        for part in parts:
            found |= part
    except ArtefactError as error:
        message = f"{path}: {error}"
        if not found:
            raise ArtefactError(message) from None
        found["error"] = message
    return {"artefact": str(path), "format": found.pop("format"), "size": len(data), "digest": digest(data), **found}


def _of_source(path: Path) -> dict[str, Any]:
    """Describe a model in C. Raises ArtefactError."""
    source = read_source(path)
    return {
        "artefact": str(path), "format": "c" if path.is_dir() else "arduino", "size": source.size, "name": source.name,
        "frame": source.frame and list(source.frame), **_contents(source.metadata),
    }  # fmt: skip


def _of_web(path: Path) -> dict[str, Any]:
    """Describe a model for browsers, without running its script; the digest is that of the onnx-int8 artefact in it."""
    source = read_web(path)
    found = {name: value for part in _onnx_parts(source.model) for name, value in part.items()}
    return {
        "artefact": str(path), **found, "format": "js" if path.is_dir() else "html", "size": source.size,
        "digest": digest(source.model),
    }  # fmt: skip


def _onnx_parts(data: bytes) -> Iterator[dict[str, Any]]:
    """Describe a file for onnxruntime: its graph, its metadata, and the session that runs it."""
    session = open_backend(data, Settings())
    yield {
        "format": format_of(data),
        "producer": session.producer,
        "inputs": [_node(node) for node in session.inputs],
        "outputs": [_node(node) for node in session.outputs],
        "foreign": {name: text for name, text in sorted(session.props.items()) if not name.startswith(PREFIX)},
    }
    yield _contents(from_props(session.props))
    info = Classifier(data, Settings()).info()
    yield {name: info[name] for name in ("backend", "providers", "threads", "versions") if name in info}


def _zip_parts(data: bytes) -> Iterator[dict[str, Any]]:
    """Describe a file for torch, which is a zip file: reads one small entry, unpacks none to disk."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            names = file.namelist()
            formats = [kind for kind, mark in ZIP_FORMATS.items() if any(re.fullmatch(mark, name) for name in names)]
            if not formats:
                raise ArtefactError(
                    f"expected a model as torch.jit.save or torch.export.save writes it, found a zip file of "
                    f"{len(names)} other entries: name an artefact that `kit export` made"
                )
            yield {"format": formats[0]}
            text = _entry(file)
    except Exception as error:  # zipfile raises whatever the damage leads it to
        if not raised_by(error):
            raise
        raise ArtefactError(
            f"expected a whole zip file, found a damaged one ({error}): copy it again, or export it again"
        ) from None
    yield _contents(from_text(text))


def _entry(file: zipfile.ZipFile) -> bytes:
    """Read the metadata, without relying on the size that the zip file's directory states."""
    entries = [entry for entry in file.infolist() if re.fullmatch(ZIP_ENTRY, entry.filename)]
    if len(entries) != 1:
        raise ArtefactError(
            f"expected an artefact made by `kit export`, with one {EXTRA_FILE}, found {len(entries)}: export it again"
        )
    (entry,) = entries
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArtefactError(f"expected {EXTRA_FILE} stored or deflated, found it otherwise compressed: export it again")
    with file.open(entry) as content:
        text = content.read(MAX_ENTRY_BYTES + 1)
    if max(len(text), entry.file_size) > MAX_ENTRY_BYTES:
        raise ArtefactError(f"expected {EXTRA_FILE} of at most {MAX_ENTRY_BYTES >> 20} MB, found a larger one")
    return text


def _contents(metadata: Metadata) -> dict[str, Any]:
    golden = metadata.golden
    return {
        "format_version": metadata.version,
        "labels": list(metadata.labels),
        "image": asdict(metadata.image),
        "pixel_statistics": metadata.pixel_statistics and metadata.pixel_statistics.to_json(),
        "golden": {"examples": len(golden.images), "tolerance": golden.tolerance, "encoding": golden.encoding},
        "centre": None if metadata.centre is None else _centre(metadata.centre),
        "optional_outputs": list(metadata.outputs),
        "decision": metadata.decision and metadata.decision.to_json(),
        "licences": list(map(dict, metadata.licences)),
        "provenance": dict(metadata.provenance),
        "others": dict(metadata.others),
    }


def _centre(centre: Pixels) -> dict[str, Any]:
    return {"per": "channel" if centre.ndim == 1 else "pixel", "mean": float(centre.mean())}


def _node(node: Any) -> dict[str, Any]:
    return {"name": node.name, "type": type_of(node), "shape": list(node.shape)}


def as_text(found: Mapping[str, Any]) -> str:
    """Format what `describe` returned in two columns, safe for a terminal."""
    rows = [
        (name.replace("_", " ") if number == 0 else "", printable(line))
        for name, value in found.items()
        for number, line in enumerate(_lines(name, value))
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {line[:LONGEST]}{'…' * (len(line) > LONGEST)}" for name, line in rows)


def _lines(name: str, value: Any) -> list[str]:
    """Format one entry; no lines if it is empty, or is printed on standard error."""
    if name == "error" or value in (None, "", [], {}):
        return []
    if name == "size":
        return [f"{value:,} bytes"]
    if name == "labels":
        return [f"{len(value):,}: {_plain(value)}"]
    if name == "pixel_statistics":
        return [_plain({part: value[part] for part in ("mean", "std")})]
    if name in ("inputs", "outputs"):
        return [f"{node['name']}: {node['type']} [{', '.join(map(str, node['shape']))}]" for node in value]
    if name in ("provenance", "others", "foreign"):
        return [f"{key}: {_plain(part)}" for key, part in value.items()]
    return [_plain(value)]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(part)}" for name, part in value.items() if part is not None)
    if isinstance(value, (list, tuple)):
        more = [f"and {len(value) - SHOWN:,} more"] if len(value) > SHOWN else []
        return ", ".join([*map(_plain, value[:SHOWN]), *more])
    return f"{value:.6g}" if isinstance(value, float) else str(value)

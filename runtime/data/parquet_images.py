"""Images in a column of Parquet: their bytes, or the files that paths name where there are no bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .source import is_url, path_inside

if TYPE_CHECKING:
    import pyarrow as pa

    from ..image import Encoded

BINARY = {"binary", "binary_view", "large_binary"}
TEXT = {"string", "string_view", "large_string"}
LAYOUT = "a column of encoded images: binary, or a struct of bytes and path as Hugging Face datasets writes it"


def image_column(name: str, schema: pa.Schema, wanted: str | None) -> str:
    """Name the column of images.

    name: of the file, for messages.
    wanted: the column to take; None for the only one that can hold images.
    Raises InputError.
    """
    columns = [str(field.name) for field in schema if leaves(field.name, field.type)]
    if wanted is None and len(columns) > 1:
        raise InputError(f"{name}: expected one column of images, found {', '.join(columns)}: choose one with --column")
    for column in columns:
        if wanted in (None, column):
            return column
    found = ", ".join(f"{field.name}: {field.type}" for field in schema) or "no columns"
    raise InputError(f"{name}: expected {f'{wanted}, ' if wanted else ''}{LAYOUT}, found {found}: cast or name another")


def leaves(column: str, kind: pa.DataType) -> list[str]:
    """Name what to read of a column of images: the bytes, and the paths if there are any; nothing of other columns."""
    if str(kind) in BINARY:
        return [column]
    inside = {child.name: str(child.type) for child in kind.fields} if str(kind).startswith("struct") else {}
    paths = [f"{column}.path"] if inside.get("path") in TEXT else []
    holds = inside.get("bytes") in BINARY or (
        paths and inside.get("bytes") == "null"
    )  # as where every image has a path
    return [f"{column}.bytes", *paths] if holds else []


def encoded(column: pa.Array, source: str) -> Iterator[Encoded]:
    """Yield each image of a column: its bytes, its file, None where it has neither, or why its file is not read.

    source: the Parquet file's absolute path, or its URL.
    """
    if not str(column.type).startswith("struct"):
        yield from column.to_pylist()
        return
    paths = column.field("path") if column.type.get_field_index("path") >= 0 else None
    for row, image in enumerate(column.field("bytes").to_pylist()):
        path = None if image is not None or paths is None else paths[row].as_py()
        yield beside(source, path) if path else image


def beside(source: str, path: str) -> Path | InputError:
    """Find the file that a path names in the folder of a Parquet file, or say why it is not read.

    As in folders of images, links to files are followed, and links to folders are not.
    """
    if is_url(source):
        return InputError(
            f"expected the bytes of an encoded image, found only its path {path}: copy the data to a disk"
        )
    inside, folder = path_inside(path), Path(source).parent
    if not inside or any((folder / above).is_symlink() for above in inside.parents[:-1]):
        return InputError(
            f"expected a path that stays in the Parquet file's folder, found {path}: write it relative to that folder, "
            "or write the image's bytes"
        )
    if not (folder / inside).is_file():
        return InputError(
            f"expected the bytes of an encoded image, or a file {path} in the Parquet file's folder, found neither: "
            "copy it there"
        )
    return folder / inside

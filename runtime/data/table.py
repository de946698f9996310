"""Tables of image files and labels: CSV, TSV and JSON lines."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ..errors import DataError
from ..image_files import is_named_as_image
from ..text import one_line
from .source import JSON_LINES
from .tree import Tree

IMAGES = ("file_name", "filename", "file", "path", "filepath", "file_path", "image", "image_path", "image_name",
          "image_id", "img", "id")  # fmt: skip
LABELS = ("label", "labels", "class", "class_name", "category", "target")
PARTS = ("split", "part", "subset", "set")
DELIMITERS = ",;\t"
MAX_BYTES = 2**28
MAX_CELL = 2**20
SHOWN = 80  # characters of a cell in a message


class Columns(NamedTuple):
    """Names of the columns of images and of labels; None for the usual ones."""

    images: str | None = None
    labels: str | None = None


USUAL = Columns()


class Row(NamedTuple):
    """A row of a table. image: as it is written. label, part: text; None where empty. line: counted from 1."""

    image: str | None
    label: str | None
    part: str | None
    line: int


def read_table(tree: Tree, name: str, columns: Columns) -> list[Row]:
    """Read a table's rows. Raises DataError where it has no columns of images and of labels, or is damaged."""
    where = f"{tree.where}/{name}"
    data = tree.read(name, MAX_BYTES)
    if len(data) > MAX_BYTES:
        raise DataError(f"{where}: expected a table of at most {MAX_BYTES >> 20} MB, found a larger one: divide it")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: expected text in UTF-8, found other bytes ({error}): save it as UTF-8") from None
    if "\0" in text:
        raise DataError(f"{where}: expected text, found a NUL character: save it as UTF-8")
    lines = _json_lines(where, text) if name.lower().endswith(JSON_LINES) else _text_lines(where, text, columns)
    rows = list(_rows(where, lines, columns))
    if not rows:
        raise DataError(f"{where}: expected a row for each image, found none: fill it in")
    return rows


def _text_lines(where: str, text: str, columns: Columns) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line numbers and cells by column; a table without a header has the file first and the label second."""
    first = text.lstrip().partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    before = csv.field_size_limit(MAX_CELL)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        head: list[str] = []
        for cells in reader:
            if not any(cells):
                continue
            if not head:
                head = [cell.strip() for cell in cells]
                if not any(columns) and len(cells) >= 2 and is_named_as_image(head[0]):
                    head = [IMAGES[0], LABELS[0]]
                else:
                    _check_head(where, head)
                    continue
            yield reader.line_num, dict(zip(head, (cell.strip() for cell in cells), strict=False))
    except csv.Error as error:
        message = f"{where} line {reader.line_num}: expected cells, found: {error}: mend its quotes"
        raise DataError(message) from None
    finally:
        csv.field_size_limit(before)


def _check_head(where: str, head: Sequence[str]) -> None:
    if twice := next((name for name in head if name and head.count(name) > 1), None):
        raise DataError(f"{where}: expected different columns, found {twice[:SHOWN]!r} twice: rename one")


def _json_lines(where: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line) if len(line) <= MAX_CELL else None
        except (ValueError, RecursionError) as error:
            message = f"{where} line {number}: expected a JSON object, found: {one_line(error)}: mend it"
            raise DataError(message) from None
        if not isinstance(found, dict):
            message = f"expected a JSON object of at most {MAX_CELL:,} characters, found another line: mend it"
            raise DataError(f"{where} line {number}: {message}")
        yield number, found


def _rows(where: str, lines: Iterable[tuple[int, dict[str, Any]]], columns: Columns) -> Iterator[Row]:
    names: list[str | None] = []
    for number, cells in lines:
        if not names:
            names = [
                _column(where, cells, columns.images, IMAGES, "--column"),
                _column(where, cells, columns.labels, LABELS, "--label-column"),
                next((name for name in cells if name.lower() in PARTS), None),
            ]
        image, label, part = (_cell(where, number, cells.get(name)) if name else None for name in names)
        yield Row(image, label, part, number)


def _column(where: str, cells: Iterable[str], given: str | None, usual: Sequence[str], option: str) -> str:
    found = {name.lower(): name for name in cells}
    for name in (given,) if given is not None else usual:
        if name in cells or name.lower() in found:
            return name if name in cells else found[name.lower()]
    wanted = given if given is not None else f"one of {', '.join(usual)}"
    raise DataError(f"{where}: expected a column {wanted}, found {', '.join(cells)}: name one of them with {option}")


def _cell(where: str, number: int, value: Any) -> str | None:
    value = value.get("path") if isinstance(value, dict) else value
    if isinstance(value, str) and not value.isascii() and value.encode(errors="replace").decode() != value:
        raise DataError(f"{where} line {number}: expected text in UTF-8, found {value[:SHOWN]!r}: mend it")
    if value is None or isinstance(value, (str, int)):
        return str(value).strip() or None if value is not None else None
    raise DataError(f"{where} line {number}: expected text or a whole number, found {type(value).__name__}: mend it")

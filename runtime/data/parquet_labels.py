"""Labels in a column of Parquet, and the names that Hugging Face's `datasets` writes into its metadata for numbers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import DataError, needs_extra
from .parquet import opened
from .parquet_images import TEXT
from .table import LABELS

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

UNLABELLED = -1  # among numbers that have names, as `datasets` writes it
OTHER_KINDS = {*TEXT, "bool"}  # than integers


class Labels(NamedTuple):
    """A file's labels.

    classes: names or numbers, in order.
    targets: int64 [n], indices into the classes, a row each; -1 where a row has no label.
    named: whether the file itself lists the classes.
    """

    classes: list[Any]
    targets: NDArray[np.int64]
    named: bool = False


def read_labels(name: str, wanted: str | None) -> Labels:
    """Read a file's labels.

    wanted: the column to take; None for the one of a usual name, or the only one with names of classes.
    Raises DataError, and InputError where the file is no Parquet.
    """
    with needs_extra("parquet", "reading Parquet"):
        import pyarrow as pa
    with opened(name) as file:
        schema = file.schema_arrow
        column = _column(name, schema, wanted)
        values = [_plain(batch.column(column)) for batch in file.iter_batches(columns=[column])]
    found = pa.chunked_array(values, None if values else pa.int64())
    if found.null_count:
        row = next(row for row, value in enumerate(found) if not value.is_valid)
        raise DataError(f"{name} row {row}: expected a {column}, found null: fill it in, or leave the row out")
    if not pa.types.is_integer(found.type):
        encoded = found.combine_chunks().dictionary_encode()
        return Labels(encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64))
    numbers = found.to_numpy().astype(np.int64)
    if names := _features(schema).get(column):
        if len(numbers) and not UNLABELLED <= numbers.min() <= numbers.max() < len(names):
            raise DataError(
                f"{name}: expected a {column} of 0 to {len(names) - 1}, which have names, or -1 for none, found "
                f"{numbers.min()} to {numbers.max()}: leave out the rows that have others"
            )
        return Labels(names, numbers, named=True)
    classes, targets = np.unique(numbers, return_inverse=True)
    return Labels(classes.tolist(), targets.astype(np.int64))


def _plain(values: pa.Array) -> pa.Array:
    """Decode dictionaries and views, which not every version of pyarrow can encode or cast."""
    import pyarrow as pa

    values = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
    return pa.array(values.to_pylist(), pa.large_string()) if str(values.type) == "string_view" else values


def _column(name: str, schema: pa.Schema, wanted: str | None) -> str:
    import pyarrow.types as kinds

    column = _choose(name, schema, wanted)
    kind = schema.field(column).type
    inside = kind.value_type if kinds.is_dictionary(kind) else kind
    if not kinds.is_integer(inside) and str(inside) not in OTHER_KINDS:
        raise DataError(f"{name}: expected {column} to be text or whole numbers, found {kind}: cast it")
    return column


def _choose(name: str, schema: pa.Schema, wanted: str | None) -> str:
    columns = list(map(str, schema.names))
    for column in LABELS if wanted is None else (wanted,):
        if found := [one for one in columns if one.lower() == column.lower()]:
            return column if column in found else found[0]
    named = [column for column in columns if column in _features(schema)] if wanted is None else []
    if len(named) == 1:
        return named[0]
    usual = wanted or f"one of {', '.join(LABELS)}"
    raise DataError(
        f"{name}: expected {'one column of labels' if named else f'a column {usual}'}, found "
        f"{', '.join(named or columns)}: choose one with --label-column"
    )


def _features(schema: pa.Schema) -> dict[str, list[str]]:
    """Column → names of its numbers, as Hugging Face's metadata have them."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"].items()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    found = {column: feature.get("names") for column, feature in features if isinstance(feature, dict)}
    return {column: list(map(str, names)) for column, names in found.items() if isinstance(names, list) and names}

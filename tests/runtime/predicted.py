"""Images to score, written down, and predictions read back."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.interpreter import UNMEASURED

SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("row", pa.int64()),
        ("label", pa.string()),
        ("index", pa.int32()),
        ("probability", pa.float32()),
        ("accepted", pa.bool_()),
        ("familiar", pa.bool_()),
        ("error", pa.string()),
    ]
)


def png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(stream, "PNG")
    return stream.getvalue()


def read(folder: Path) -> list[dict[str, Any]]:
    """Read predictions, and check that they are whole: the schema, the names of the parts, and nothing beside them."""
    parts = sorted(folder.iterdir())
    assert [part.name for part in parts] == [f"part-{number:05}.parquet" for number in range(len(parts))]
    assert not list(folder.parent.glob(".*.part"))
    tables = [pq.read_table(part) for part in parts]
    assert all(table.schema.equals(SCHEMA) for table in tables)
    return [row for table in tables for row in table.to_pylist()]


def write_images(path: Path, images: list[bytes | None], column: str = "image", group: int = 100) -> Path:
    """Write images as Hugging Face `datasets` does."""
    rows = [None if image is None else {"bytes": image, "path": f"{number}.png"} for number, image in enumerate(images)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({column: pa.array(rows, kind), "label": [0] * len(rows)}), path, row_group_size=group)
    return path


def answers(rows: list[dict[str, Any]]) -> list[tuple[str, int, Any]]:
    return [(row["label"], row["index"], pytest.approx(row["probability"], abs=1e-6)) for row in rows]


def damaged(path: Path, at: int) -> None:
    """Overwrite the page that begins after `at` bytes."""
    data = bytearray(path.read_bytes())
    data[at : at + 60] = b"\xff" * 60
    path.write_bytes(data)


def start_classify(folder: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    """Start the command as a terminal would: it hears Ctrl-C, even where these tests run in the background."""
    code = "import signal\nimport kit\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nkit.main()"
    command = [sys.executable, "-c", code, "classify", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=folder, env={**os.environ, **UNMEASURED}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip

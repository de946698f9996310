"""IDX files, as MNIST and its successors have them: uint8 values of one to four dimensions."""

from pathlib import Path

import numpy as np

from ..errors import DataError
from ..image import Pixels

UNSIGNED_BYTES = b"\0\0\x08"
DIMENSIONS = 4


def read_idx(path: Path) -> Pixels:
    """Read an uncompressed IDX file of unsigned bytes. Raises DataError, and OSError where it cannot be opened."""
    data = path.read_bytes()
    count = data[3] if len(data) > 3 else 0
    shape = np.frombuffer(data[4 : 4 + 4 * count], ">u4").tolist() if len(data) >= 4 + 4 * count else []
    body = len(data) - 4 - 4 * count
    if data[:3] != UNSIGNED_BYTES or not 1 <= count <= DIMENSIONS or len(shape) != count or np.prod(shape) != body:
        raise DataError(f"{path}: expected a whole IDX file of unsigned bytes, found other content: fetch it again")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * count).reshape(shape)

"""IDX files: whole ones read, anything else refused."""

from pathlib import Path

import numpy as np
import pytest

from runtime.data.idx import read_idx
from runtime.errors import DataError
from tests.idx import idx


@pytest.mark.parametrize("shape", [(5,), (3, 2), (4, 3, 2), (0, 28, 28)])
def test_values_come_back(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    (tmp_path / "values").write_bytes(idx(values))
    found = read_idx(tmp_path / "values")
    assert found.shape == shape
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:0],
        lambda data: data[:3],
        lambda data: data[:10],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"\1" + data[1:],
        lambda data: data[:2] + b"\x0d" + data[3:],
        lambda data: data[:3] + b"\0" + data[4:],
        lambda data: data[:3] + b"\xff" + data[4:],
        lambda data: data[:4] + b"\xff" * 12 + data[16:],
    ],
    ids=["empty", "cut magic", "cut shape", "cut", "longer", "magic", "float", "no axes", "255 axes", "2^96 values"],
)
def test_other_content_is_refused(tmp_path: Path, change: object) -> None:
    assert callable(change)
    (tmp_path / "values").write_bytes(change(idx(np.zeros((4, 3, 2), np.uint8))))
    with pytest.raises(DataError, match="values: expected a whole IDX file of unsigned bytes, found other content"):
        read_idx(tmp_path / "values")

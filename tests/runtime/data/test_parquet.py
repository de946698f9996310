"""Encoded images in Parquet files; tests/runtime/scoring/test_inputs.py has the damaged ones."""

from contextlib import closing
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runtime.data.parquet import Reader, find_rows, find_urls, opened, state
from runtime.errors import InputError

IMAGES = [None if number == 3 else b"%d" % number for number in range(20)]


@pytest.fixture
def file(tmp_path: Path) -> str:
    """20 rows in row groups of 6."""
    table = pa.table({"image": pa.array(IMAGES, pa.binary()), "label": list(range(20))})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=6)
    return str(tmp_path / "rows.parquet")


def test_rows_are_divided_within_row_groups(file: str) -> None:
    rows = find_rows("given", file, column=None, size=4)
    assert {(one.name, one.source, one.column) for one in rows} == {("given", file, "image")}
    assert [one.images for one in rows] == [4, 2, 4, 2, 4, 2, 2]
    with closing(Reader()) as reader:
        for chosen in (rows, rows[::-1], rows[::2]):
            firsts = [one.first + one.start for one in chosen]
            expected = [IMAGES[first : first + one.images] for first, one in zip(firsts, chosen, strict=True)]
            assert [list(reader.images(one)) for one in chosen] == expected


def test_rows_that_are_gone(file: str) -> None:
    (first, *_) = find_rows(file, file, column=None, size=10)
    with closing(Reader()) as reader, pytest.raises(InputError, match="expected 7 rows in row group 0, found 6"):
        list(reader.images(first._replace(stop=7)))


def test_urls(file: str) -> None:
    memory = fsspec.filesystem("memory")
    for name in ("b.parquet", "deep/a.parquet", "notes.txt"):
        memory.pipe(f"/urls/{name}", Path(file).read_bytes())
    assert find_urls("memory://urls") == ["memory:///urls/b.parquet", "memory:///urls/deep/a.parquet"]
    assert find_urls("memory://urls/*.parquet") == ["memory:///urls/b.parquet"]
    assert find_urls("memory://absent/one.parquet") == ["memory://absent/one.parquet"]
    with opened("memory://urls/b.parquet") as found:
        assert found.metadata.num_rows == 20
    with pytest.raises(InputError, match=r"^memory://absent: expected a \.parquet file or a folder that holds some"):
        find_urls("memory://absent")


def test_what_is_not_parquet(tmp_path: Path) -> None:
    (tmp_path / "notes.parquet").write_bytes(b"notes")
    message = "notes.parquet: expected Parquet that can be read, found: "
    with pytest.raises(InputError, match=message), opened(str(tmp_path / "notes.parquet")):
        pass


def test_the_state_changes_with_the_file(file: str) -> None:
    before = state(file)
    assert state(file) == before
    with Path(file).open("ab") as more:
        more.write(b"\0")
    assert state(file) != before

"""Sources of images, and which reader a name asks for."""

from pathlib import Path

import pytest

from runtime.data.source import Files, is_parquet_data


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.parquet", True),
        ("a.PARQUET", True),
        ("s3://bucket/set", True),
        ("flat", True),
        ("hub", True),
        ("photos", False),
        ("absent", False),
        ("a.png", False),
    ],
)
def test_parquet_is_told_from_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, expected: bool
) -> None:
    for file in ("flat/0.parquet", "hub/data/0.parquet", "photos/a/0.png"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    monkeypatch.chdir(tmp_path)
    assert is_parquet_data(name) is expected


def test_the_state_of_files_changes_with_them(tmp_path: Path) -> None:
    files = Files(tmp_path, ["a", "b"])
    assert (len(files), files[1], files.name(1), list(files)) == (
        2,
        tmp_path / "b",
        "b",
        [tmp_path / "a", tmp_path / "b"],
    )
    states = [list(files.states())]
    for content in (b"1", b"12"):
        (tmp_path / "a").write_bytes(content)
        states.append(list(files.states()))
    assert [state[0] for state in states] == [str(tmp_path.resolve())] * 3
    assert states[0] != states[1] != states[2]

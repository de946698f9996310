"""Images that cannot be read: all of them are named, and how many may be is said by the user."""

import re
import tempfile
from pathlib import Path

import pytest

from runtime.data.unreadable import SCREEN, check_share, report_unreadable
from runtime.errors import DataError


def unreadable(count: int) -> dict[str, str]:
    return {f"a/{number}.png": "expected more" for number in range(count)}


def test_a_screen_of_them_is_listed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    report_unreadable("photos", unreadable(SCREEN), 3000, tmp_path / "list.txt")
    assert capsys.readouterr().err.splitlines() == [
        f"photos: left out {SCREEN} of 3,000 images, which cannot be read:",
        *(f"  a/{number}.png: expected more" for number in range(SCREEN)),
    ]
    assert not (tmp_path / "list.txt").exists()


def test_more_are_in_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = unreadable(SCREEN + 1) | {"b/\x1b\u202e.png": "expected\nmore"}
    report_unreadable("photos", found, 3000, tmp_path / "list.txt")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == SCREEN + 2
    assert lines[-1] == f"  and 2 more; {tmp_path / 'list.txt'} lists all"
    written = (tmp_path / "list.txt").read_text().splitlines()
    assert written[:-1] == [f"a/{number}.png: expected more" for number in range(SCREEN + 1)]
    assert written[-1] == r"b/\x1b\u202e.png: expected\nmore"


def test_without_a_place_the_file_is_a_temporary_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    report_unreadable("photos", unreadable(SCREEN + 1), 3000)
    (path,) = tmp_path.iterdir()
    assert f"and 1 more; {path} lists all" in capsys.readouterr().err
    assert len(path.read_text().splitlines()) == SCREEN + 1


@pytest.mark.parametrize(("count", "most"), [(0, 0), (1, 0.01), (100, 1), (50, 0.5)])
def test_as_many_as_may_be(count: int, most: float, capsys: pytest.CaptureFixture[str]) -> None:
    check_share("photos", unreadable(count), 100, most)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("count", "most", "share"), [(1, 0, "0"), (2, 0.01, "1"), (51, 0.505, "50.5")])
def test_more_than_may_be(
    count: int, most: float, share: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    message = (
        f"photos: expected at most {share}% of the images to be unreadable, found {count} of 100, the first of them "
        "a/0.png (expected more): replace or remove them, or allow more with --max-unreadable of kit train and kit "
        "evaluate"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        check_share("photos", unreadable(count), 100, most, tmp_path / "list.txt")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == {1: 0, 2: 3, 51: SCREEN + 2}[count]
    assert (tmp_path / "list.txt").exists() == (count > SCREEN)

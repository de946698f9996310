"""Lines and tokens of code."""

from pathlib import Path

import pytest

from benchmarks.tools import size

CODE = '''"""A docstring
of two lines."""

# a comment
def double(x: int) -> int:
    """Another."""
    return (2  # a comment
            * x)
'''


def test_comments_docstrings_and_blank_lines_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(CODE)
    tokens = "def double ( x : int ) -> int : return ( 2 * x )"
    assert size.size(tmp_path / "code.py") == (3, len(tokens.split(" ")))


def test_an_empty_file_has_no_code(tmp_path: Path) -> None:
    (tmp_path / "empty.py").touch()
    assert size.size(tmp_path / "empty.py") == (0, 0)


def test_a_line_a_package_and_their_sum(capsys: pytest.CaptureFixture[str]) -> None:
    size.main()
    rows = [line.replace(",", "").split() for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == [*size.PACKAGES, "total"]
    for column in (1, 3):
        *parts, total = (int(row[column]) for row in rows)
        assert sum(parts) == total

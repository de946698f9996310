"""What holds for each file: its size, its functions, the docstring of its folder, and the public names of a package."""

import ast
import importlib
from pathlib import Path

import pytest

from tests.modules import PACKAGES, ROOT, functions

FOLDERS = (*PACKAGES, "benchmarks")
FILES = [ROOT / "kit.py", *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))]
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 300, 50


def test_no_file_is_long() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in FILES}
    assert {str(path.relative_to(ROOT)): count for path, count in lines.items() if count > MOST_LINES} == {}


def test_no_function_is_long() -> None:
    found = [(str(path.relative_to(ROOT)), *function) for path in FILES for function in functions(path)]
    assert [function for function in found if function[2] > MOST_LINES_OF_A_FUNCTION] == []


def test_each_folder_says_what_it_is_for() -> None:
    for folder in {path.parent for path in FILES} - {ROOT}:
        text = ast.get_docstring(ast.parse(Path(folder, "__init__.py").read_text())) or ""
        assert len(text.split()) > 10, folder


@pytest.mark.parametrize("name", PACKAGES)
def test_public_names(name: str) -> None:
    package = importlib.import_module(name)
    assert package.__all__ == sorted(package.__all__)
    assert all((getattr(package, public).__doc__ or public.isupper()) for public in package.__all__)
    assert (ROOT / name / "py.typed").exists()
    with pytest.raises(AttributeError):
        package.no_such_name  # noqa: B018

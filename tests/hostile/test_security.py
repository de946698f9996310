"""SECURITY.md names a test for each promise."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_each_named_test_exists() -> None:
    named = NAMED.findall((ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    assert len(named) >= 25
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{path}::{name}"


def test_each_promise_names_a_test() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    promises = text.partition("## What is promised")[2].partition("## What is not promised")[0].split("\n**")[1:]
    assert len(promises) == 11
    assert all(NAMED.search(promise) for promise in promises)


def test_each_hostile_test_is_named_or_is_about_the_suite() -> None:
    named = {name for _, name in NAMED.findall((ROOT / "SECURITY.md").read_text(encoding="utf-8"))}
    about = {
        "test_each_hostile_test_is_named_or_is_about_the_suite", "test_each_named_test_exists",
        "test_each_promise_names_a_test", "test_idx_files_are_read_where_nothing_else_is",
        "test_there_are_100_000_cases", "test_these_files_do_carry_code", "test_what_goes_wrong_is_noticed",
    }  # fmt: skip
    for path in (ROOT / "tests" / "hostile").glob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
        assert tests <= named | about, path

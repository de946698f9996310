"""What a host of the repository reads: the checks that it runs, the forms of issues, and how to cite."""

import re
import subprocess
import sys
import tomllib
from typing import Any

import pytest
import yaml

from tests.reader import ROOT, blocks, check_make, check_pip, check_pytest

WORKFLOW = ROOT / ".github/workflows/checks.yml"
JOBS: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
SCHEMAS = [
    ("github-workflows", ".github/workflows/checks.yml"),
    ("github-issue-config", ".github/ISSUE_TEMPLATE/config.yml"),
    ("github-issue-forms", ".github/ISSUE_TEMPLATE/bug.yml"),
    ("github-issue-forms", ".github/ISSUE_TEMPLATE/question.yml"),
    ("citation-file-format", "CITATION.cff"),
]


def typed(job: str) -> list[str]:
    return [step["run"] for step in JOBS[job]["steps"] if "run" in step]


def recipe(target: str) -> list[str]:
    """What a target runs, as somebody in the active environment would type it."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found, target
    return [re.sub(r"^(\w+=\w+ )*\$\(VENV\)/bin/", "", line.strip()) for line in found[1].splitlines()]


@pytest.mark.spawns
@pytest.mark.parametrize(("schema", "name"), SCHEMAS)
def test_they_fit_their_schemas(schema: str, name: str) -> None:
    pytest.importorskip("check_jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", name]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_no_file_is_left_out() -> None:
    found = {str(path.relative_to(ROOT)) for path in (ROOT / ".github").rglob("*") if path.is_file()}
    assert found == {name for _, name in SCHEMAS} - {"CITATION.cff"}


def test_every_system_and_python_is_checked() -> None:
    matrix = JOBS["make"]["strategy"]["matrix"]
    assert matrix["os"] == ["ubuntu-latest", "macos-latest"]
    assert matrix["python"] == JOBS["without-make"]["strategy"]["matrix"]["python"] == PYTHONS
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    assert {"os": "ubuntu-latest", "python": PYTHONS[0], "dependencies": "oldest"} in matrix["include"]
    assert "'lowest-direct'" in JOBS["make"]["env"]["UV_RESOLUTION"]


def test_what_has_never_run_is_named_so_and_fails_nothing() -> None:
    make, windows = JOBS["make"], JOBS["without-make"]
    assert {"os": "macos-latest", "untested": True} in make["strategy"]["matrix"]["include"]
    assert make["continue-on-error"] == "${{ matrix.untested || false }}"
    assert "matrix.untested && ', untested'" in make["name"]
    assert windows["runs-on"] == "windows-latest"
    assert windows["continue-on-error"] is True
    assert windows["name"].endswith(", untested")


def test_what_they_run_is_in_the_makefile() -> None:
    install, tools, *targets = typed("make")
    assert install == "python -m pip install uv"
    assert tools == "sudo make tools"
    assert targets == ["make check", "make test", "make test-numpy"]
    for line in (tools.removeprefix("sudo "), *targets):
        check_make(line.split())


def test_without_make_the_same_is_run() -> None:
    """On Windows, and in the section of CONTRIBUTING.md on it; numpy is chosen by the environment."""
    install, *checks = typed("without-make")
    check_pip(install.split()[2:])
    assert checks == recipe("check") + recipe("test") + recipe("test-numpy")
    assert JOBS["without-make"]["steps"][-1]["env"] == {"KIT_BACKEND": "numpy"}
    assert JOBS["without-make"]["env"] == {"OMP_NUM_THREADS": "1"}
    for line in checks:
        if "pytest" in line:
            check_pytest(line.split())
    pages = "".join(block.text for block in blocks(ROOT / "CONTRIBUTING.md") if block.language == "powershell")
    shown = [line for line in pages.splitlines() if not line.startswith("$env:")]
    assert shown[2:] == [install, *recipe("check"), *recipe("format"), *recipe("test"), *recipe("test-numpy")]
    assert re.findall(r"env:(.*)", pages) == ['OMP_NUM_THREADS = "1"', 'KIT_BACKEND = "numpy"']


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    for name in ("version", "license"):
        assert citation[name] == PROJECT[name]
    assert citation["title"] == PROJECT["name"]

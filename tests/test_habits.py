"""What contributors rely on: the Makefile, the hooks, the figures that are enforced, and CONTRIBUTING.md."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.mutation import results, table
from tests.reader import blocks, check_make, commands

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
HOOKS = ROOT / ".pre-commit-config.yaml"


def recipe(target: str) -> list[str]:
    """The commands of a target, with the environment's folder in place."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert found, target
    return [line.strip().replace("$(VENV)", ".venv") for line in found[1].splitlines()]


@pytest.mark.spawns
def test_help_lists_every_target_with_what_it_is_for() -> None:
    printed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = dict(line.split(maxsplit=1) for line in printed.splitlines() if not line.startswith("make["))
    phony = " ".join(re.findall(r"^\.PHONY:(.*)$", MAKEFILE, re.MULTILINE)).split()
    assert sorted(listed) == sorted(phony)
    assert set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)) == set(phony)
    assert all(len(purpose) > 10 for purpose in listed.values())


def test_the_hooks_are_what_make_check_runs() -> None:
    """ruff on the files of a commit, mypy on all, since a change in one file can break another."""
    (repository,) = yaml.safe_load(HOOKS.read_text())["repos"]
    assert repository["repo"] == "local", "nothing is fetched"
    *checks, figures = recipe("check")
    assert [hook["entry"] for hook in repository["hooks"]] == [check.removesuffix(" .") for check in checks]
    assert figures == ".venv/bin/python -m benchmarks.tools.size"  # which has no limit, so is no hook
    for hook in repository["hooks"]:
        assert (hook["language"], hook.get("pass_filenames", True)) == ("system", hook["id"] != "mypy")


def test_make_format_mends_what_make_check_finds() -> None:
    assert recipe("format") == [".venv/bin/ruff check --fix .", ".venv/bin/ruff format ."]


@pytest.mark.spawns
@pytest.mark.parametrize("environment", ["none", "old"])
@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_the_environment_is_made_by_uv_where_it_is(installer: str, environment: str, tmp_path: Path) -> None:
    """And what it costs is said before, where there is none yet."""
    (tmp_path / "uv").write_text("#!/bin/sh\n")
    (tmp_path / "uv").chmod(0o755)
    folder = tmp_path / "environment"
    if environment == "old":
        folder.mkdir()
        (folder / "installed").touch()
        os.utime(folder / "installed", (0, 0))
    command = ["make", "--dry-run", "check", f"VENV={folder}", *(["UV="] if installer == "pip" else [])]
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "UV_"))}
    variables["PATH"] = f"{tmp_path}:{variables['PATH']}"
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=variables)
    said, made, installed, touched, *checks = (line for line in run.stdout.splitlines() if not line.startswith("make"))
    printed = subprocess.run(["sh", "-c", said], capture_output=True, text=True, check=True).stdout
    assert bool(printed) == (environment == "none")
    if printed:
        assert re.match(rf"Making {folder}, once, in some minutes: {installer} downloads \d\.\d GB", printed)
    assert made == f"python3 -m venv {folder}"
    programs = {
        "pip": f"{folder}/bin/python -m pip install --quiet --disable-pip-version-check",
        "uv": f"{tmp_path}/uv pip install --quiet --python {folder}/bin/python",
    }
    assert installed == f"{programs[installer]} --editable '.[dev]'"
    assert touched == f"touch {folder}/installed"
    assert [line.replace(str(folder), ".venv") for line in checks] == recipe("check")


@pytest.mark.spawns
def test_pre_commit_takes_the_hooks() -> None:
    pytest.importorskip("pre_commit")
    command = [sys.executable, "-m", "pre_commit", "validate-config", str(HOOKS)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_coverage_is_of_all_three_packages_and_enforced() -> None:
    settings: dict[str, Any] = PROJECT["tool"]["coverage"]
    assert settings["run"]["source"] == ["export", "runtime", "trainer"]
    assert settings["run"]["branch"]
    assert settings["report"]["fail_under"] >= 95
    assert recipe("coverage")[-1].endswith("coverage report")
    assert not {"omit", "exclude_also", "exclude_lines"} & (settings["run"].keys() | settings["report"].keys())
    for part in settings["run"]["source"]:
        for path in (ROOT / part).rglob("*.py"):
            assert not re.search(r"#\s*pragma:?\s*no\s*(cover|branch|mutate)", path.read_text(), re.IGNORECASE), path


def test_what_is_mutated_and_the_tests_for_it_are_there() -> None:
    settings: dict[str, Any] = PROJECT["tool"]["mutmut"]
    assert all((ROOT / path).exists() for path in settings["only_mutate"])
    for test in settings["pytest_add_cli_args_test_selection"]:
        path, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text() if name else (ROOT / path).exists(), test


def test_the_score_of_mutants(tmp_path: Path) -> None:
    (tmp_path / "export" / "gate").mkdir(parents=True)
    codes = '{"a": 1, "b": 0, "c": 33, "d": 3, "e": -9, "f": 36, "g": 1, "h": 1}'
    (tmp_path / "export" / "gate" / "parity.py.meta").write_text(f'{{"exit_code_by_key": {codes}}}')
    (tmp_path / "export" / "gate" / "verification.py.meta").write_text('{"exit_code_by_key": {}}')
    found = results(tmp_path)
    assert found["export/gate/parity.py"]["b"] == "survived"
    row = "| 8 | 4 | 2 | 1 | 1 | 75.0% |"
    assert table(found).splitlines()[2:] == [f"| export/gate/parity.py {row}", f"| all {row}"]


def test_the_worked_example_is_right() -> None:
    """The test passes beside the function, and what the page adds is not there yet."""
    function, test = (block.text for block in blocks(CONTRIBUTING) if block.language == "python")
    namespace: dict[str, Any] = {}
    exec(function + test, namespace)
    name = re.findall(r"^def (\w+)", function, re.MULTILINE)[0]
    assert name not in (ROOT / "trainer" / "softmax_regression.py").read_text()
    generator = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(7, 64, generator=generator), torch.randint(0, 7, (64,), generator=generator)
    namespace[re.findall(r"^def (test_\w+)", test, re.MULTILINE)[0]](logits, targets)
    assert 0 < float(namespace[name](logits, targets, 3)) < 1


def test_a_release_is_built_and_checked() -> None:
    build, check = recipe("dist")[1:]
    assert shlex.split(build)[:3] == [".venv/bin/python", "-m", "build"]
    assert shlex.split(check)[2:] == ["twine", "check", "--strict", "dist/*"]


def test_the_release_checklist_types_what_is_there() -> None:
    typed = [words for block in blocks(ROOT / "RELEASING.md") for words in commands(block.text)]
    targets = {target for words in typed if words[0] == "make" for target in words[1:]}
    assert {"check", "coverage", "dist", "docs", "mutation", "test-all", "test-hostile"} <= targets
    for target in targets:
        check_make(["make", target])
    assert ["twine", "upload", "dist/*"] in typed

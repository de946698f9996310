"""C compilers and emulators of this machine, and programs of tests."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from runtime.c.targets import EMULATED, TARGETS, WARNINGS, is_installed

COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]


def needs(target: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not is_installed(target), reason=f"no tools for {target}: apt-get install {' '.join(TARGETS[target].packages)}"
    )


ON_EMULATED = [pytest.param(name, marks=needs(name)) for name in EMULATED]


def compiled(folder: Path, code: str, *options: str, compiler: str = COMPILERS[0], standard: str = "-std=c99") -> Path:
    """Compile a test's program, `code`, with the C files of a folder, every warning an error."""
    (folder / "test_main.c").write_text(code)
    sources = [str(path) for path in sorted(folder.glob("*.c"))]
    command = [compiler, standard, "-O1", *WARNINGS, *options, *sources, "-o", str(folder / "test_main")]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return folder / "test_main"


def printed(program: Path, arguments: Sequence[str] = (), given: bytes = b"") -> bytes:
    """What a program prints."""
    found = subprocess.run([program, *arguments], input=given, capture_output=True, timeout=60, check=False)
    assert found.returncode == 0, found.stderr.decode(errors="replace")
    return found.stdout

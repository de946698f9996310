"""Environments of their own, for what another install or another release does."""

import os
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path


def install(folder: Path, requirements: Sequence[str], *options: str) -> Path:
    """Make an environment and return its interpreter."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *options, *requirements], check=True, timeout=900)
    return python


def run_with(python: Path, code: str, *arguments: str | Path) -> str:
    """Run code in another environment's interpreter and return what it prints."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    result = subprocess.run(
        [python, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=variables | {"ORT_DISABLE_TELEMETRY": "1"},
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout

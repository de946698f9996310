"""Running the kit's code in this interpreter and in fresh ones."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from click.testing import Result

Kit = Callable[..., Result]
UNMEASURED = {"COVERAGE_PROCESS_CONFIG": ""}  # for interpreters that may write nothing more, or are counted or stopped


def run_python(
    code: str,
    *arguments: str | Path,
    cwd: Path | None = None,
    without: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that does not find the modules `without`; environment adds variables."""
    block = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {list(without)!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    variables = os.environ | (environment or {})
    command = [sys.executable, "-c", block + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=variables, timeout=120, check=False)

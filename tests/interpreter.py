"""Running the kit's code in this interpreter and in fresh ones."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from click.testing import Result

Kit = Callable[..., Result]


def run_python(
    code: str, *arguments: str | Path, cwd: Path | None = None, without: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter in which the modules `without` are not to be found."""
    block = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {list(without)!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    command = [sys.executable, "-c", block + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120, check=False)

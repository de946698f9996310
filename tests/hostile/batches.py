"""Batches of hostile cases, run by a child process: it may crash, get stuck or eat memory, the tests do not.

One case again: `python -m tests.hostile.batches KIND SOURCE NUMBER NUMBER+1 FOLDER`.
"""

import json
import os
import resource
import subprocess
import sys
import warnings
from contextlib import suppress
from pathlib import Path

from runtime import KitError

from .cases import KINDS, PLACES
from .guard import Guard

ROOT = Path(__file__).parents[2]
ADDRESS_SPACE = 40 * 2**30  # torch alone maps 10 GB or more
MEMORY = 2 * 2**20  # KB that the child may come to use
WITH_TORCH = ("unfinished", "idx", "commands")  # it looks for its libraries with the help of gcc and ldconfig
STUCK = 60  # seconds for one case


def survive(kind: str, source: Path, numbers: range, folder: Path) -> dict[str, int]:
    """Have a child process run cases of a kind, made from `source`: how many gave an answer, how many were refused.

    folder: an empty one for the child. Raises AssertionError, with the number of the case, where it crashed, got stuck,
    raised what is no KitError, or came to use more than 2 GB.
    """
    arguments = [kind, source, numbers.start, numbers.stop, folder]
    command = [sys.executable, "-m", __spec__.name, *map(str, arguments)]
    progress, variables = folder / "number", os.environ | {name: str(folder / place) for name, place in PLACES.items()}
    with subprocess.Popen(
        command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        reached = ""
        while True:
            try:
                out, err = child.communicate(timeout=STUCK)
                break
            except subprocess.TimeoutExpired:
                before, reached = reached, progress.read_text() if progress.exists() else ""
                if before == reached:
                    child.kill()
    number = progress.read_text().strip() if progress.exists() else "none"
    assert child.returncode == 0, f"status {child.returncode} on {kind} case {number} of {source}: {err[-2000:]}"
    counts: dict[str, int] = json.loads(out.splitlines()[-1])
    assert counts.pop("memory") < MEMORY
    return counts


def main(kind: str, source: str, start: str, stop: str, folder: str) -> None:
    """Run the cases of a range, noting each one's number before it; a warning in the kit's own code is an error."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    warnings.filterwarnings("error", module=r"(runtime|trainer|export)\b")
    sys.dont_write_bytecode = True
    for place in PLACES.values():
        Path(folder, place).mkdir()
    guard = Guard(Path(folder), processes=kind in WITH_TORCH)
    case = KINDS[kind](Path(source), Path(folder))
    answers = 0
    file = os.open(Path(folder, "number"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in range(int(start), int(stop)):
        os.pwrite(file, f"{number:12}".encode(), 0)
        with suppress(KitError):
            answers += case(number)
        assert not guard.noted, guard.noted
    print(json.dumps({"answers": answers, "refused": int(stop) - int(start) - answers, "memory": peak()}))


def peak() -> int:
    """This process's peak memory in KB; getrusage has its parent's where that was higher before it began."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main(*sys.argv[1:])

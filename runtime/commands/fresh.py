"""Classifies one image in a fresh process, for `kit bench`: how long that takes from its start, and how much memory."""

import json
import subprocess
import sys
import time
from pathlib import Path

from ..errors import ArtefactError

MAX_SECONDS = 300

# A user's first script. On Linux it reads its own peak memory: getrusage returns the parent's where that was higher.
FRESH = """
import sys
sys.path[:] = sys.argv[3:]
import runtime
classifier = runtime.load(sys.argv[1], backend=sys.argv[2])
classifier.classify(classifier.metadata.golden.images[0])
import json, time
answered, peak = time.time(), None
try:
    with open("/proc/self/status") as file:
        peak = [int(line.split()[1]) for line in file if line.startswith("VmHWM:")][0] / 2**10
except (OSError, IndexError):
    try:
        import resource
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    except ImportError:
        pass
print(json.dumps([answered, peak]))
"""


def fresh_process(path: Path, backend: str) -> tuple[float, float | None]:
    """Classify in a fresh process; return the seconds from its start to its prediction, and its peak memory in MB."""
    command = [sys.executable, "-c", FRESH, str(path), backend, *sys.path]
    start = time.time()
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=MAX_SECONDS, check=False)  # noqa: S603
        answered, peak = json.loads(found.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        raise ArtefactError(f"{path}: expected an answer from a fresh process, found none in {MAX_SECONDS} s") from None
    except (IndexError, ValueError):
        reason = found.stderr.strip().rpartition("\n")[2] or f"exit status {found.returncode}"
        raise ArtefactError(
            f"{path}: expected an answer from a fresh process, found that it failed ({reason})"
        ) from None
    return answered - start, peak
